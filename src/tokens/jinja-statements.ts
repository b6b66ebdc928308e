// Compiles the statements of a chat template to functions: text, conditions, loops, assignments, macros.

import { type Arguments, callValue, compileArguments, compileExpression, compileFilter } from './jinja-expressions.ts';
import { LoopState } from './jinja-methods.ts';
import type { CallNode, Node } from './jinja-nodes.ts';
import { type Ending, type Expression, Output, type Rendering, Scope, type Statement } from './jinja-scope.ts';
import { Callable, itemsOf, lengthOf, Namespace, pythonError, TemplateRefusal, truth } from './jinja-values.ts';
import { NotRendered, strText } from './python-text.ts';

/** Limit on nested and recursive macro calls. */
const macroDepthMax = 50;

export function compileBlock(nodes: readonly Node[]): Statement {
  const statements = nodes.filter(({ type }) => type !== 'Comment').map(compileStatement);
  if (statements.length === 1) return statements[0]!;
  return (scope, rendering, out) => {
    for (const statement of statements) {
      const ending = statement(scope, rendering, out);
      if (ending !== 'done') return ending;
    }
    return 'done';
  };
}

function compileStatement(node: Node): Statement {
  switch (node.type) {
    case 'StringLiteral':
      return (_scope, { work }, out) => {
        work.step();
        out.write(node.value);
        return 'done';
      };
    case 'If':
      return compileIf(compileExpression(node.test), compileBlock(node.body), compileBlock(node.alternate));
    case 'For':
      return compileFor(node);
    case 'Set':
      return compileSet(node);
    case 'Macro': {
      const macro = compileMacro(node.args, node.body, node.name.value);
      return (scope, rendering) => {
        rendering.work.step();
        scope.set(node.name.value, macro(scope, rendering));
        return 'done';
      };
    }
    case 'CallStatement':
      return compileCallBlock(node.call, node.callerArgs ?? [], node.body);
    case 'FilterStatement': {
      const body = compileCapture(node.body);
      return compileWriting(compileFilter(body, node.filter));
    }
    case 'Break':
      return () => 'break';
    case 'Continue':
      return () => 'continue';
    default:
      return compileWriting(compileExpression(node));
  }
}

function compileWriting(expression: Expression): Statement {
  return (scope, rendering, out) => {
    rendering.work.step();
    out.write(strText(expression(scope, rendering), rendering.work));
    return 'done';
  };
}

function compileIf(test: Expression, yes: Statement, no: Statement): Statement {
  return (scope, rendering, out) => {
    rendering.work.step();
    return (truth(test(scope, rendering)) ? yes : no)(scope, rendering, out);
  };
}

/** The output of a block as a value. Its assignments stay local. */
function compileCapture(nodes: readonly Node[]): (scope: Scope, rendering: Rendering) => string {
  const block = compileBlock(nodes);
  return (scope, rendering) => {
    const out = new Output(rendering.work);
    block(new Scope(scope), rendering, out);
    return out.text;
  };
}

type Assign = (scope: Scope, value: unknown, rendering: Rendering) => void;

function compileTarget(node: Node): Assign {
  if (node.type === 'Identifier') return (scope, value) => scope.set(node.value, value);
  if (node.type === 'TupleLiteral') {
    const targets = node.value.map(compileTarget);
    return (scope, value, rendering) => {
      if (lengthOf(value) !== targets.length) throw pythonError('wrong number of values to unpack');
      for (const [i, item] of itemsOf(value, rendering.work).entries()) targets[i]!(scope, item, rendering);
    };
  }
  if (node.type === 'MemberExpression' && node.property.type === 'Identifier' && !node.computed) {
    const holder = compileExpression(node.object);
    const { value: name } = node.property;
    return (scope, value, rendering) => {
      const namespace = holder(scope, rendering);
      if (!(namespace instanceof Namespace)) throw pythonError('a member of a value that is not a namespace is set');
      namespace.members.set(name, value);
    };
  }
  return () => {
    throw new NotRendered(`an assignment to ${node.type}`);
  };
}

function compileSet({ assignee, value, body }: Extract<Node, { type: 'Set' }>): Statement {
  const assign = compileTarget(assignee);
  const compute = value === null ? compileCapture(body) : compileExpression(value);
  return (scope, rendering) => {
    rendering.work.step();
    assign(scope, compute(scope, rendering), rendering);
    return 'done';
  };
}

function compileFor({ loopvar, iterable, body, defaultBlock }: Extract<Node, { type: 'For' }>): Statement {
  const filtered = iterable.type === 'SelectExpression';
  const over = compileExpression(filtered ? iterable.lhs : iterable);
  const test = filtered ? compileExpression(iterable.test) : null;
  const assign = compileTarget(loopvar);
  const [block, otherwise] = [compileBlock(body), compileBlock(defaultBlock)];
  return (scope, rendering, out): Ending => {
    const all = itemsOf(over(scope, rendering), rendering.work);
    const fits = (item: unknown): boolean => {
      rendering.work.step();
      const inner = new Scope(scope);
      assign(inner, item, rendering);
      return truth(test!(inner, rendering));
    };
    const loop = new LoopState(test === null ? all : all.filter(fits));
    for (const item of loop.items) {
      rendering.work.step();
      // Jinja drops each iteration's assignments.
      const inner = new Scope(scope);
      inner.set('loop', loop);
      assign(inner, item, rendering);
      if (block(inner, rendering, out) === 'break') break;
      loop.index0++;
    }
    return loop.items.length === 0 ? otherwise(new Scope(scope), rendering, out) : 'done';
  };
}

/** A function of a scope: a macro sees the variables of the place where it is defined. */
function compileMacro(
  parameters: readonly Node[],
  body: readonly Node[],
  name: string,
): (scope: Scope, rendering: Rendering) => Callable {
  const block = compileBlock(body);
  const known = parameters.map((node) => {
    if (node.type === 'Identifier') return { name: node.value, otherwise: null };
    if (node.type === 'KeywordArgumentExpression') {
      return { name: node.key.value, otherwise: compileExpression(node.value) };
    }
    throw new TemplateRefusal(`a parameter of ${name} has no name`);
  });
  return (outer, rendering) =>
    new Callable((args, kwargs, work) => {
      if (args.length > known.length) throw new NotRendered('a macro called with too many arguments');
      for (const key of kwargs.keys()) {
        if (key !== 'caller' && !known.some((parameter) => parameter.name === key)) {
          throw new NotRendered('a macro called with unknown arguments');
        }
      }
      const scope = new Scope(outer);
      for (const [i, parameter] of known.entries()) {
        const given = i < args.length ? args[i] : kwargs.get(parameter.name);
        const isGiven = i < args.length || kwargs.has(parameter.name);
        scope.set(parameter.name, isGiven ? given : parameter.otherwise?.(scope, rendering));
      }
      if (kwargs.has('caller')) scope.set('caller', kwargs.get('caller'));
      if (rendering.depth === macroDepthMax) throw new NotRendered(`macros ${macroDepthMax} deep`);
      rendering.depth++;
      const out = new Output(work);
      block(scope, rendering, out);
      rendering.depth--;
      return out.text;
    });
}

function compileCallBlock(call: CallNode, parameters: readonly Node[], body: readonly Node[]): Statement {
  const called = compileExpression(call.callee);
  const argumentsOf = compileArguments(call.args);
  const caller = compileMacro(parameters, body, 'a call block');
  return (scope, rendering, out) => {
    rendering.work.step();
    const { args, kwargs } = argumentsOf(scope, rendering);
    const withCaller: Arguments = { args, kwargs: new Map([...kwargs, ['caller', caller(scope, rendering)]]) };
    out.write(strText(callValue(called(scope, rendering), withCaller, rendering), rendering.work));
    return 'done';
  };
}
