// Waits for what nothing tells of: a condition that is looked at again and again.

const pollMs = 20;

/** Waits for the condition, which may hold at once, for at most `timeoutMs`. */
export async function until(condition: () => boolean | Promise<boolean>, timeoutMs: number): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs;
  while (!(await condition()) && performance.now() < deadlineMs) {
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
}
