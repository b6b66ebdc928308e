// The login form, where the gateway wants a key. The key goes to the gateway once and is kept nowhere in the page.

import { useRef, useState } from 'preact/hooks';
import { usePage } from './context.ts';
import { ApiError, api } from './live/api.ts';

export function Login() {
  const { store, stream } = usePage();
  const field = useRef<HTMLInputElement>(null);
  const [fault, setFault] = useState<string | null>(null);
  const [isBusy, setIsBusy] = useState(false);
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    setIsBusy(true);
    setFault(null);
    try {
      const session = await api.login(field.current!.value);
      field.current!.value = '';
      store.change({ session });
      stream.restart();
    } catch (error) {
      setFault(error instanceof ApiError ? error.message : String(error));
      field.current?.select();
    } finally {
      setIsBusy(false);
    }
  };
  return (
    <main id="main" class="login" tabIndex={-1}>
      <form class="panel" onSubmit={(event) => void submit(event)}>
        <h1>kvoyant</h1>
        <p class="soft">This gateway shows its page to holders of its admin key or view key.</p>
        <label for="key">Key</label>
        <input
          id="key"
          ref={field}
          type="password"
          autocomplete="current-password"
          required
          aria-describedby={fault === null ? undefined : 'fault'}
          aria-invalid={fault !== null}
        />
        {fault !== null && (
          <p id="fault" class="bad" role="alert">
            {fault}
          </p>
        )}
        <button type="submit" class="primary" disabled={isBusy}>
          {isBusy ? 'Checking' : 'Show the page'}
        </button>
      </form>
    </main>
  );
}
