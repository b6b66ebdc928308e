// How a front is started and connections reach it: what both programs must agree on.

/** Descriptor of the socket between front and owner, in the front. */
export const ownerDescriptor = 4;
/** Sent with the socket of a new connection, over Node's own channel between processes. */
export const connectionMessage = 'connection';
/** A front tells its figures so often. */
export const figuresIntervalMs = 500;
