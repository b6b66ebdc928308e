// Polls a condition that emits no event.

const pollMs = 20;

/** Polls until the condition holds, for at most `timeoutMs`. @returns whether it held at the last poll */
export async function until(condition: () => boolean | Promise<boolean>, timeoutMs: number): Promise<boolean> {
  const deadlineMs = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() >= deadlineMs) return false;
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
  return true;
}
