// Polls a condition that emits no event.

const pollMs = 20;

/** Polls until the condition holds, for at most `timeoutMs`. */
export async function until(condition: () => boolean | Promise<boolean>, timeoutMs: number): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs;
  while (!(await condition()) && performance.now() < deadlineMs) {
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
}
