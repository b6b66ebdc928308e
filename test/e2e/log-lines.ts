// Collects the lines of a gateway's log.

export interface LogLine {
  readonly level: number;
  readonly msg: string;
  readonly [field: string]: unknown;
}

export class LogLines {
  text = '';

  write(line: string): void {
    this.text += line;
  }

  get lines(): LogLine[] {
    return this.text
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as LogLine);
  }

  with(msg: string): LogLine[] {
    return this.lines.filter((line) => line.msg === msg);
  }
}
