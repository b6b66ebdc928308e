// Compiles the expressions of a chat template to functions.

import { findFilter } from './jinja-filters.ts';
import { attributeOf, itemOf } from './jinja-methods.ts';
import type { CallNode, NameNode, Node } from './jinja-nodes.ts';
import { negated, operate } from './jinja-operators.ts';
import type { Expression, Rendering, Scope } from './jinja-scope.ts';
import { findTest } from './jinja-tests.ts';
import { Callable, itemsOf, type Kwargs, noKwargs, pythonError, sliceOf, truth } from './jinja-values.ts';
import { JsonFloat } from './json-values.ts';
import { NotRendered, PythonTuple } from './python-text.ts';

export function compileExpression(node: Node): Expression {
  switch (node.type) {
    case 'Identifier':
      return (scope) => scope.get(node.value);
    case 'StringLiteral':
      return () => node.value;
    case 'IntegerLiteral':
      return () => node.value;
    case 'FloatLiteral': {
      const value = new JsonFloat(node.value);
      return () => value;
    }
    case 'ArrayLiteral':
    case 'TupleLiteral':
      return compileList(node.value, node.type === 'TupleLiteral');
    case 'ObjectLiteral':
      return compileDictionary(node.value);
    case 'MemberExpression':
      return compileMember(node);
    case 'CallExpression':
      return compileCall(node);
    case 'BinaryExpression':
      return compileBinary(node.operator.value, node.left, node.right);
    case 'UnaryExpression':
      return compileUnary(node.operator.value, compileExpression(node.argument));
    case 'FilterExpression':
      return compileFilter(compileExpression(node.operand), node.filter);
    case 'TestExpression':
      return compileTest(node);
    case 'SelectExpression': {
      const [value, test] = [compileExpression(node.lhs), compileExpression(node.test)];
      return (scope, rendering) => (truth(test(scope, rendering)) ? value(scope, rendering) : undefined);
    }
    case 'Ternary': {
      const test = compileExpression(node.condition);
      const [yes, no] = [compileExpression(node.trueExpr), compileExpression(node.falseExpr)];
      return (scope, rendering) => (truth(test(scope, rendering)) ? yes : no)(scope, rendering);
    }
    default:
      return () => {
        throw new NotRendered(`the expression ${node.type}`);
      };
  }
}

function compileList(nodes: readonly Node[], isTuple: boolean): Expression {
  const items = nodes.map(compileExpression);
  return (scope, rendering) => {
    const values = items.map((item) => item(scope, rendering));
    return isTuple ? PythonTuple.from(values) : values;
  };
}

function compileDictionary(nodes: ReadonlyMap<Node, Node>): Expression {
  const members = Array.from(nodes, ([name, value]) => [compileExpression(name), compileExpression(value)] as const);
  return (scope, rendering) => {
    const values = new Map<string, unknown>();
    for (const [name, value] of members) {
      const key = name(scope, rendering);
      if (typeof key !== 'string') throw new NotRendered('a dictionary with a key that is not a text');
      values.set(key, value(scope, rendering));
    }
    return values;
  };
}

function compileMember({ object, property, computed }: Extract<Node, { type: 'MemberExpression' }>): Expression {
  const holder = compileExpression(object);
  if (!computed && property.type === 'Identifier') {
    return (scope, rendering) => attributeOf(holder(scope, rendering), property.value);
  }
  if (property.type === 'SliceExpression') {
    const [start, stop, step] = [property.start, property.stop, property.step].map((bound) =>
      bound === undefined ? () => undefined : compileExpression(bound),
    );
    return (scope, rendering) => {
      const bounds = [start!, stop!, step!].map((bound) => bound(scope, rendering));
      return sliceOf(holder(scope, rendering), bounds[0], bounds[1], bounds[2], rendering.work);
    };
  }
  const key = compileExpression(property);
  return (scope, rendering) => itemOf(holder(scope, rendering), key(scope, rendering), rendering.work);
}

function compileBinary(operator: string, leftNode: Node, rightNode: Node): Expression {
  const [left, right] = [compileExpression(leftNode), compileExpression(rightNode)];
  if (operator === 'and' || operator === 'or') {
    const goesOn = operator === 'and';
    return (scope, rendering) => {
      const value = left(scope, rendering);
      return truth(value) === goesOn ? right(scope, rendering) : value;
    };
  }
  return (scope, rendering) => operate(operator, left(scope, rendering), right(scope, rendering), rendering.work);
}

function compileUnary(operator: string, argument: Expression): Expression {
  switch (operator) {
    case 'not':
      return (scope, rendering) => !truth(argument(scope, rendering));
    case '-':
      return (scope, rendering) => negated(argument(scope, rendering));
    default:
      return () => {
        throw new NotRendered(`the operator ${operator} before a value`);
      };
  }
}

export function compileFilter(operand: Expression, node: NameNode | CallNode): Expression {
  if (node.type === 'Identifier') {
    const filter = findFilter(node.value);
    return (scope, rendering) => {
      rendering.work.step();
      return filter(operand(scope, rendering), [], noKwargs, rendering.work);
    };
  }
  const filter = findFilter(node.callee.type === 'Identifier' ? node.callee.value : node.callee.type);
  const argumentsOf = compileArguments(node.args);
  return (scope, rendering) => {
    rendering.work.step();
    const value = operand(scope, rendering);
    const { args, kwargs } = argumentsOf(scope, rendering);
    return filter(value, args, kwargs, rendering.work);
  };
}

function compileTest({
  operand,
  negate,
  test: { value: name },
}: Extract<Node, { type: 'TestExpression' }>): Expression {
  const value = compileExpression(operand);
  const test = findTest(name);
  return (scope, rendering) => test(value(scope, rendering), [], rendering.work) !== negate;
}

function compileCall({ callee, args }: CallNode): Expression {
  const called = compileExpression(callee);
  const argumentsOf = compileArguments(args);
  return (scope, rendering) => {
    rendering.work.step();
    return callValue(called(scope, rendering), argumentsOf(scope, rendering), rendering);
  };
}

export interface Arguments {
  readonly args: readonly unknown[];
  readonly kwargs: Kwargs;
}

export function callValue(called: unknown, { args, kwargs }: Arguments, { work }: Rendering): unknown {
  if (!(called instanceof Callable)) throw pythonError('a value that is not a function is called');
  return called.call(args, kwargs, work);
}

export function compileArguments(nodes: readonly Node[]): (scope: Scope, rendering: Rendering) => Arguments {
  if (nodes.length === 0) return () => noArguments;
  const parts = nodes.map((node) => {
    switch (node.type) {
      case 'KeywordArgumentExpression':
        return { kind: 'named', name: node.key.value, value: compileExpression(node.value) } as const;
      case 'SpreadExpression':
        return { kind: 'spread', name: '', value: compileExpression(node.argument) } as const;
      case 'KeywordSpreadExpression':
        return { kind: 'named-spread', name: '', value: compileExpression(node.argument) } as const;
      default:
        return { kind: 'plain', name: '', value: compileExpression(node) } as const;
    }
  });
  return (scope, rendering) => {
    const args: unknown[] = [];
    const kwargs = new Map<string, unknown>();
    for (const { kind, name, value: compute } of parts) {
      const value = compute(scope, rendering);
      if (kind === 'plain') args.push(value);
      else if (kind === 'named') kwargs.set(name, value);
      else if (kind === 'spread') for (const item of itemsOf(value, rendering.work)) args.push(item);
      else if (value instanceof Map) for (const [key, member] of value) kwargs.set(key as string, member);
      else throw pythonError('the value after ** is not a mapping');
    }
    return { args, kwargs };
  };
}

const noArguments: Arguments = { args: [], kwargs: noKwargs };
