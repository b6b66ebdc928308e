// Completion scripts for bash, zsh and fish. They need no kvoyant to run: everything that they offer is in them.
//
// All three find the command at the cursor as a path, such as `/lab/run`, by the words before it.

import { allCommands, type Completed, type CompletedCommand, type CompletedFlag } from './completion-tree.ts';

export const shells = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof shells)[number];

export function completionScript(shell: Shell, program: CompletedCommand): string {
  switch (shell) {
    case 'bash':
      return bashScript(program);
    case 'zsh':
      return zshScript(program);
    case 'fish':
      return fishScript(program);
  }
}

/** A word in single quotes, for bash and zsh. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

const pathsOf = (commands: readonly CompletedCommand[]): string[] =>
  commands.map(({ path }) => path).filter((path) => path !== '');

/** Cases of `$at $previous`: what follows a flag. */
function* valueCases(commands: readonly CompletedCommand[], offer: (value: Completed) => string): Generator<string> {
  const flags = new Map<string, string[]>();
  for (const { path, flags: ofCommand } of commands) {
    for (const { name, value } of ofCommand) {
      if (value === null) continue;
      const offered = offer(value);
      flags.set(offered, [...(flags.get(offered) ?? []), quoted(`${path} ${name}`)]);
    }
  }
  for (const [offered, patterns] of flags) yield `    ${patterns.join(' | ')}) ${offered} ;;`;
}

function bashScript(program: CompletedCommand): string {
  const commands = allCommands(program);
  const files = `compopt -o filenames 2> /dev/null; COMPREPLY=($(compgen -f -- "$current")); return`;
  const offer = (value: Completed): string => {
    if (value.kind === 'words')
      return `COMPREPLY=($(compgen -W ${quoted(value.words.join('\n'))} -- "$current")); return`;
    return value.kind === 'files' ? files : 'return';
  };
  const ofCommand = ({ path, flags, argument, commands: below }: CompletedCommand): string => {
    const words = [...below.map(({ name }) => name), ...(argument?.kind === 'words' ? argument.words : [])];
    const names = flags.map(({ name }) => name);
    return `    ${quoted(path)}) words=${quoted(words.join('\n'))} flags=${quoted(names.join('\n'))}${argument?.kind === 'files' ? ' files=1' : ''} ;;`;
  };
  return `# Completion of kvoyant for bash.

_kvoyant() {
  local IFS=$'\\n' at='' words='' flags='' files='' i
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD - 1]}"
  # --flag=value comes as three words.
  if [[ $current == '=' ]]; then
    current=''
  elif [[ $previous == '=' ]]; then
    previous="\${COMP_WORDS[COMP_CWORD - 2]}"
  fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$at/\${COMP_WORDS[i]}" in
      ${pathsOf(commands).join(' | ')}) at="$at/\${COMP_WORDS[i]}" ;;
    esac
  done
  case "$at $previous" in
${[...valueCases(commands, offer)].join('\n')}
  esac
  case "$at" in
${commands.map(ofCommand).join('\n')}
  esac
  if [[ $current == -* ]]; then
    COMPREPLY=($(compgen -W "$flags" -- "$current"))
  elif [[ -n $files ]]; then
    ${files}
  else
    COMPREPLY=($(compgen -W "$words" -- "$current"))
  fi
}
complete -F _kvoyant kvoyant
`;
}

function zshScript(program: CompletedCommand): string {
  const commands = allCommands(program);
  const described = (name: string, description: string): string =>
    quoted(`${name.replaceAll(':', '\\:')}:${description}`);
  const offer = (value: Completed): string => {
    if (value.kind === 'words') return `compadd -- ${value.words.map(quoted).join(' ')}; return`;
    return value.kind === 'files' ? '_files; return' : `_message 'a value'; return`;
  };
  const ofCommand = ({ path, flags, argument, commands: below }: CompletedCommand): string => {
    const words = [
      ...below.map(({ name, description }) => described(name, description)),
      ...(argument?.kind === 'words' ? argument.words.map((word) => described(word, '')) : []),
    ];
    const names = flags.map(({ name, description }) => described(name, description));
    return [
      `    ${quoted(path)})`,
      `      found=(${words.join(' ')})`,
      `      flags=(${names.join(' ')})`,
      ...(argument?.kind === 'files' ? ['      files=1'] : []),
      '      ;;',
    ].join('\n');
  };
  return `#compdef kvoyant
# Completion of kvoyant for zsh.

_kvoyant() {
  local at='' files='' word
  local -a found flags
  for word in "\${(@)words[2,CURRENT-1]}"; do
    case "$at/$word" in
      ${pathsOf(commands).join(' | ')}) at="$at/$word" ;;
    esac
  done
  case "$at $words[CURRENT-1]" in
${[...valueCases(commands, offer)].join('\n')}
  esac
  case "$at" in
${commands.map(ofCommand).join('\n')}
  esac
  if [[ $words[CURRENT] == -* ]]; then
    _describe -o 'flag' flags
  elif [[ -n $files ]]; then
    _files
  else
    _describe 'command' found
  fi
}
# Loaded by name from $fpath, this file is the function; evaluated, it defines it.
if [[ $funcstack[1] == _kvoyant ]]; then _kvoyant "$@"; else compdef _kvoyant kvoyant; fi
`;
}

function fishScript(program: CompletedCommand): string {
  const commands = allCommands(program);
  const inQuotes = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
  const at = (path: string): string => `complete -c kvoyant -n ${inQuotes(`__kvoyant_at ${inQuotes(path)}`)}`;
  const values = (value: Completed): string => {
    if (value.kind === 'words') return ` -x -a ${inQuotes(value.words.join(' '))}`;
    return value.kind === 'files' ? ' -r -F' : ' -x';
  };
  const flagLine = (path: string, { name, description, value }: CompletedFlag): string =>
    `${at(path)} -l ${name.slice(2)}${value === null ? '' : values(value)} -d ${inQuotes(description)}`;
  const argumentLines = (path: string, argument: Completed | null): string[] => {
    if (argument === null || argument.kind === 'any') return [];
    return [argument.kind === 'files' ? `${at(path)} -F` : `${at(path)} -a ${inQuotes(argument.words.join(' '))}`];
  };
  const lines = commands.flatMap(({ path, flags, argument, commands: below }) => [
    ...below.map(({ name, description }) => `${at(path)} -a ${name} -d ${inQuotes(description)}`),
    ...argumentLines(path, argument),
    ...flags.map((flag) => flagLine(path, flag)),
  ]);
  return `# Completion of kvoyant for fish.

function __kvoyant_at
    set -l at ''
    for word in (commandline -opc)[2..-1]
        switch "$at/$word"
            case ${pathsOf(commands).join(' ')}
                set at "$at/$word"
        end
    end
    test "$at" = "$argv[1]"
end
complete -c kvoyant -f
${lines.join('\n')}
`;
}
