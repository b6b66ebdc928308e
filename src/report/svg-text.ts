// Building blocks of the SVG drawings, in the colours of the page: light ones as attributes, dark ones by a media query.

/** Readable as lines and as text, without colour vision too, since they differ in lightness. */
const palette: readonly (readonly [light: string, dark: string])[] = [
  ['#0b63b8', '#6cb2f7'],
  ['#c2500a', '#ff9a5c'],
  ['#0c7a5b', '#45d0a4'],
  ['#a3478c', '#e79bd0'],
  ['#8f6400', '#f0c34e'],
  ['#2678a6', '#8fd3f5'],
  ['#14202c', '#e8eef5'],
  ['#7a4b00', '#d9a35b'],
  ['#004c33', '#7fc9ae'],
  ['#7f3f63', '#d3a0bb'],
  ['#6b7680', '#b0b8c0'],
  ['#5c3d99', '#b79af0'],
];

/** Colours by what they are for, as attributes. */
export const ink = {
  soft: 'class="soft" fill="#455667"',
  bar: 'fill="#9fb0c0" class="bar"',
  highlight: 'fill="#0b63b8" class="f0"',
  grid: 'class="grid" stroke="#dbe2ea"',
  axis: 'class="axis" stroke="#455667"',
} as const;

const darkRules: Readonly<Record<string, string>> = {
  ground: 'fill:#0d1117',
  text: 'fill:#e8eef5',
  soft: 'fill:#a9b7c6',
  bar: 'fill:#51647a',
  grid: 'stroke:#27313d',
  axis: 'stroke:#a9b7c6',
  ...Object.fromEntries(palette.map(([, dark], at) => [`l${at}`, `stroke:${dark}`])),
  ...Object.fromEntries(palette.map(([, dark], at) => [`f${at}`, `fill:${dark}`])),
};

/** Attributes of a line. */
export function lineInk(index: number): string {
  const at = index % palette.length;
  return `class="l${at}" stroke="${palette[at]![0]}"`;
}

/** Attributes of an area, a mark or a label. */
export function fillInk(index: number): string {
  const at = index % palette.length;
  return `class="f${at}" fill="${palette[at]![0]}"`;
}

export function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}

/** An SVG image without external resources. Readers that prefer dark pages get dark colours. */
export function svgImage(width: number, height: number, title: string, body: readonly string[]): string {
  const text = body.join('\n');
  const used = ['ground', 'text', ...Object.keys(darkRules).filter((name) => text.includes(`class="${name}"`))];
  const dark = used.map((name) => `.${name}{${darkRules[name]}}`).join('');
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">`,
    `<title>${escapeXml(title)}</title>`,
    `<style>@media (prefers-color-scheme: dark){${dark}}</style>`,
    `<rect width="${width}" height="${height}" class="ground" fill="#ffffff"/>`,
    '<g font-family="system-ui, sans-serif" font-size="12" class="text" fill="#14202c">',
    text,
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
  const attributes = more === '' ? '' : ` ${more.trim()}`;
  return `<text x="${pixels(x)}" y="${pixels(y)}" text-anchor="${anchor}"${attributes}>${escapeXml(label)}</text>`;
}

/** The finding in bold, in as many lines as it needs, then what is shown. @returns the drawing, and where it ends */
export function svgTitle(
  left: number,
  width: number,
  title: string,
  subtitle: string,
): { readonly parts: string[]; readonly bottom: number } {
  const lines = wrapped(title, Math.floor((width - left) / titleLetterPixels));
  const parts = lines.map((line, at) =>
    svgLabel(left, 22 + at * 18, line, 'start', 'font-weight="600" font-size="14"'),
  );
  const bottom = 22 + (lines.length - 1) * 18;
  if (subtitle === '') return { parts, bottom };
  return { parts: [...parts, svgLabel(left, bottom + 17, subtitle, 'start', ink.soft)], bottom: bottom + 17 };
}

const titleLetterPixels = 8.6;

function wrapped(text: string, lengthMax: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + word.length + 1 > lengthMax) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}

/** @param attributes of its stroke */
export function svgLine(x1: number, y1: number, x2: number, y2: number, attributes: string): string {
  return `<line x1="${pixels(x1)}" y1="${pixels(y1)}" x2="${pixels(x2)}" y2="${pixels(y2)}" ${attributes}/>`;
}

/** Approximate width of the widest label. */
export function widestPixels(labels: readonly string[]): number {
  return labels.reduce((widest, label) => Math.max(widest, label.length * 7.6), 0);
}

/** Rounds to a tenth of a pixel, which keeps files small. */
export function pixels(value: number): string {
  return String(Math.round(value * 10) / 10);
}
