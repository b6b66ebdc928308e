// Building blocks of the SVG drawings.

/** Okabe and Ito's colours, readable without colour vision, then darker ones of the same hues. */
const palette = [
  '#0072b2',
  '#d55e00',
  '#009e73',
  '#cc79a7',
  '#e69f00',
  '#56b4e9',
  '#000000',
  '#7a4b00',
  '#004c33',
  '#7f3f63',
  '#8c8c8c',
  '#5c3d99',
];

/** Lines are dashed once all colours are used. */
export function lineStyle(index: number): string {
  const dash = ['', '6 3', '2 3'][Math.floor(index / palette.length) % 3]!;
  return `stroke="${colour(index)}"${dash === '' ? '' : ` stroke-dasharray="${dash}"`}`;
}

export function colour(index: number): string {
  return palette[index % palette.length]!;
}

export function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}

/** An SVG image without external resources, on white, so that it is readable on dark pages too. */
export function svgImage(width: number, height: number, title: string, body: readonly string[]): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">`,
    `<title>${escapeXml(title)}</title>`,
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    '<g font-family="system-ui, sans-serif" font-size="11" fill="#333333">',
    ...body,
    '</g></svg>',
  ].join('\n');
}

export function svgLabel(
  x: number,
  y: number,
  label: string,
  anchor: 'start' | 'middle' | 'end' = 'start',
  more = '',
): string {
  return `<text x="${pixels(x)}" y="${pixels(y)}" text-anchor="${anchor}"${more}>${escapeXml(label)}</text>`;
}

export function svgLine(x1: number, y1: number, x2: number, y2: number, stroke: string): string {
  return `<line x1="${pixels(x1)}" y1="${pixels(y1)}" x2="${pixels(x2)}" y2="${pixels(y2)}" stroke="${stroke}"/>`;
}

/** Approximate width of the widest label. */
export function widestPixels(labels: readonly string[]): number {
  return labels.reduce((widest, label) => Math.max(widest, label.length * 6.4), 0);
}

/** Rounds to a tenth of a pixel, which keeps files small. */
export function pixels(value: number): string {
  return String(Math.round(value * 10) / 10);
}
