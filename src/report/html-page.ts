// HTML page in one file, without scripts or external resources.

import { escapeXml } from './svg-text.ts';
import { type Column, groupSpans } from './text-table.ts';

/** @param body HTML made by the functions below */
export function htmlPage(title: string, body: readonly string[]): string {
  return [
    '<!doctype html>',
    '<html lang="en"><head><meta charset="utf-8">',
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    `<title>${escapeXml(title)}</title>`,
    `<style>${style}</style></head><body>`,
    `<h1>${escapeXml(title)}</h1>`,
    ...body,
    '</body></html>',
    '',
  ].join('\n');
}

const style = `
:root{color-scheme:light dark;--ground:light-dark(#fff,#0d1117);--text:light-dark(#14202c,#e8eef5);
--soft:light-dark(#455667,#a9b7c6);--line:light-dark(#dbe2ea,#27313d);--strong:light-dark(#b6c2cf,#3a4757);
--mark:light-dark(#e6f1fb,#12273b)}
body{font:15px/1.5 system-ui,sans-serif;color:var(--text);background:var(--ground);max-width:1240px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem;letter-spacing:-.02em}
h2{margin-top:2.5rem;padding-bottom:.2rem;border-bottom:1px solid var(--line);font-size:1.2rem}
table{border-collapse:collapse;font-size:12.5px;font-variant-numeric:tabular-nums;margin:.5rem 0}
th,td{padding:.18rem .38rem;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}
th{color:var(--soft);font-weight:600}
th.left,td.left{text-align:left}
thead tr:last-child th{border-bottom:1px solid var(--strong)}
th.group{text-align:center;font-weight:normal;border-bottom:none}
th:first-child,td:first-child{position:sticky;left:0;background:var(--ground)}
p.verdict{font-size:17px;font-weight:600;padding:.5rem .8rem;background:var(--mark);border-radius:8px}
.scroll{overflow-x:auto}
figure{display:inline-block;margin:.8rem .8rem .8rem 0;vertical-align:top}
svg{max-width:100%;height:auto}
p.note{color:var(--soft);font-size:13px}`.trim();

export function htmlHeading(text: string): string {
  return `<h2>${escapeXml(text)}</h2>`;
}

export function htmlParagraph(text: string, isNote = false): string {
  return `<p${isNote ? ' class="note"' : ''}>${escapeXml(text)}</p>`;
}

export function htmlFigure(svg: string): string {
  return `<figure>${svg}</figure>`;
}

/** A section that the reader can open. */
export function htmlDetails(summary: string, body: readonly string[]): string {
  return `<details><summary>${escapeXml(summary)}</summary>${body.join('\n')}</details>`;
}

/** The main result. */
export function htmlVerdict(text: string): string {
  return `<p class="verdict">${escapeXml(text)}</p>`;
}

/** HTML version of a text table. The first column stays visible if the table is wider than the page. */
export function htmlTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const cell = (tag: 'th' | 'td', text: string, at: number): string =>
    `<${tag}${columns[at]!.align === 'left' ? ' class="left"' : ''}>${escapeXml(text)}</${tag}>`;
  const hasGroups = columns.some(({ group }) => group !== undefined);
  const groups = groupSpans(columns).map(
    ({ name, from, to }) =>
      `<th${to - from > 1 ? ` colspan="${to - from}"` : ''} class="group">${escapeXml(name)}</th>`,
  );
  return [
    `<div class="scroll"><table><thead>${hasGroups ? `<tr>${groups.join('')}</tr>` : ''}<tr>`,
    ...columns.map(({ title }, at) => cell('th', title, at)),
    '</tr></thead><tbody>',
    ...rows.map((row) => `<tr>${row.map((text, at) => cell('td', text, at)).join('')}</tr>`),
    '</tbody></table></div>',
  ].join('\n');
}
