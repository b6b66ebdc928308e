// A question before an action that changes what the router does.

import type { ComponentChildren } from 'preact';
import { useLayoutEffect, useRef, useState } from 'preact/hooks';

interface Props {
  readonly title: string;
  readonly children: ComponentChildren;
  readonly action: string;
  readonly isDanger?: boolean;
  /** Resolves when it is done; what it throws is shown. */
  readonly onConfirm: () => Promise<void>;
  readonly onClose: () => void;
}

export function Confirm({ title, children, action, isDanger = false, onConfirm, onClose }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [fault, setFault] = useState<string | null>(null);
  const [isBusy, setIsBusy] = useState(false);
  // Before the browser paints: a key that is pressed at once must find the dialog open.
  useLayoutEffect(() => {
    const element = dialog.current!;
    const before = document.activeElement;
    element.showModal();
    return () => {
      element.close();
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  const confirm = async (): Promise<void> => {
    setIsBusy(true);
    setFault(null);
    try {
      await onConfirm();
      onClose();
    } catch (error) {
      setFault(error instanceof Error ? error.message : String(error));
      setIsBusy(false);
    }
  };
  return (
    <dialog ref={dialog} aria-labelledby="question" onCancel={onClose}>
      <h2 id="question">{title}</h2>
      <div class="soft">{children}</div>
      {fault !== null && (
        <p class="bad" role="alert">
          {fault}
        </p>
      )}
      <div class="buttons">
        <button type="button" onClick={onClose}>
          Cancel
        </button>
        <button type="button" class={isDanger ? 'danger' : 'primary'} disabled={isBusy} onClick={() => void confirm()}>
          {isBusy ? 'Wait' : action}
        </button>
      </div>
    </dialog>
  );
}
