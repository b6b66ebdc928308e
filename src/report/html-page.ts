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
body{font:14px/1.5 system-ui,sans-serif;color:#222;background:#fff;max-width:1240px;margin:2rem auto;padding:0 1rem}
h2{margin-top:2.5rem;border-bottom:1px solid #ddd}
table{border-collapse:collapse;font-size:12.5px;font-variant-numeric:tabular-nums;margin:.5rem 0}
th,td{padding:.12rem .38rem;border-bottom:1px solid #eee;text-align:right;white-space:nowrap}
th.left,td.left{text-align:left}
thead tr:last-child th{border-bottom:1px solid #999}
th.group{text-align:center;font-weight:normal;color:#555;border-bottom:none}
th:first-child,td:first-child{position:sticky;left:0;background:#fff}
p.verdict{font-size:16px;font-weight:600}
.scroll{overflow-x:auto}
figure{display:inline-block;margin:.5rem .5rem .5rem 0;vertical-align:top}
svg{max-width:100%;height:auto}
p.note{color:#555}`.trim();

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
