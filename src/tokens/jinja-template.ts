// A chat template, parsed by the library and run by our own code: like Python's jinja, and within limits.

import { parseTemplate } from './jinja-nodes.ts';
import { Output, Scope } from './jinja-scope.ts';
import { compileBlock } from './jinja-statements.ts';
import { asCount, Callable, Namespace, pythonError, TemplateRefusal } from './jinja-values.ts';
import { NotRendered } from './python-text.ts';
import { type TemplateLimits, TemplateWork } from './template-work.ts';

export class JinjaTemplate {
  readonly #run: ReturnType<typeof compileBlock>;

  /** @throws what the parser throws for an invalid template */
  constructor(source: string) {
    this.#run = compileBlock(parseTemplate(source));
  }

  /**
   * @throws TemplateRefusal if the template, or Python, refuses the values; NotRendered if their result is unknown
   * here; TemplateOverrun
   */
  render(variables: ReadonlyMap<string, unknown>, limits: TemplateLimits): string {
    const work = new TemplateWork(limits);
    const scope = new Scope(globals);
    for (const [name, value] of variables) scope.set(name, value);
    const out = new Output(work);
    this.#run(new Scope(scope), { work, depth: 0 }, out);
    return out.text;
  }
}

const globals = new Scope(null);
for (const [name, value] of [
  ['true', true],
  ['True', true],
  ['false', false],
  ['False', false],
  ['none', null],
  ['None', null],
] as const) {
  globals.set(name, value);
}
globals.set(
  'raise_exception',
  new Callable(([message]) => {
    throw new TemplateRefusal(String(message));
  }),
);
globals.set(
  'range',
  new Callable((args, _kwargs, work) => {
    const [first = 0, second, step = 1] = args.map((bound) => asCount(bound, 'a bound of range'));
    const [from, to] = second === undefined ? [0, first] : [first, second];
    if (step === 0) throw pythonError('the step of range is zero');
    const length = Math.max(0, Math.ceil((to - from) / step));
    work.visit(length);
    return Array.from({ length }, (_, i) => from + i * step);
  }),
);
globals.set(
  'namespace',
  new Callable(([given], kwargs) => {
    if (given !== undefined && !(given instanceof Map))
      throw new NotRendered('a namespace of a value that is not a mapping');
    return new Namespace(new Map([...((given as ReadonlyMap<string, unknown>) ?? []), ...kwargs]));
  }),
);
globals.set(
  'dict',
  new Callable((args, kwargs) => {
    if (args.length > 0) throw new NotRendered('dict of another value');
    return new Map(kwargs);
  }),
);
globals.set('strftime_now', new Callable(([format]) => timeText(String(format), new Date())));

const months = 'January February March April May June July August September October November December'.split(' ');
const days = 'Sunday Monday Tuesday Wednesday Thursday Friday Saturday'.split(' ');

/** Python's strftime in the C locale, as far as templates use it. */
function timeText(format: string, time: Date): string {
  const two = (value: number): string => String(value).padStart(2, '0');
  return format.replace(/%(.?)/g, (_all, letter: string) => {
    switch (letter) {
      case 'Y':
        return String(time.getFullYear());
      case 'm':
        return two(time.getMonth() + 1);
      case 'd':
        return two(time.getDate());
      case 'b':
        return months[time.getMonth()]!.slice(0, 3);
      case 'B':
        return months[time.getMonth()]!;
      case 'a':
        return days[time.getDay()]!.slice(0, 3);
      case 'A':
        return days[time.getDay()]!;
      case 'H':
        return two(time.getHours());
      case 'M':
        return two(time.getMinutes());
      case 'S':
        return two(time.getSeconds());
      case '%':
        return '%';
      default:
        throw new NotRendered(`strftime_now with %${letter}`);
    }
  });
}
