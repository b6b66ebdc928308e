export const folders: Readonly<Record<string, readonly string[]>>;
export const rooms: Readonly<Record<string, readonly (readonly string[])[]>>;
export const rulesFile: string;
export function rulesText(): string;
