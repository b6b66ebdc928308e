// The syntax tree of a chat template, as far as it is used; built by the library's parser.

import { Template } from '@huggingface/jinja';

export type Node =
  | { readonly type: 'If'; readonly test: Node; readonly body: Node[]; readonly alternate: Node[] }
  | {
      readonly type: 'For';
      readonly loopvar: Node;
      readonly iterable: Node;
      readonly body: Node[];
      readonly defaultBlock: Node[];
    }
  | { readonly type: 'Break' | 'Continue' | 'Comment' }
  | { readonly type: 'Set'; readonly assignee: Node; readonly value: Node | null; readonly body: Node[] }
  | { readonly type: 'Macro'; readonly name: NameNode; readonly args: Node[]; readonly body: Node[] }
  | {
      readonly type: 'CallStatement';
      readonly call: CallNode;
      readonly callerArgs: Node[] | null;
      readonly body: Node[];
    }
  | { readonly type: 'FilterStatement'; readonly filter: NameNode | CallNode; readonly body: Node[] }
  | NameNode
  | CallNode
  | { readonly type: 'IntegerLiteral' | 'FloatLiteral'; readonly value: number }
  | { readonly type: 'StringLiteral'; readonly value: string }
  | { readonly type: 'ArrayLiteral' | 'TupleLiteral'; readonly value: Node[] }
  | { readonly type: 'ObjectLiteral'; readonly value: ReadonlyMap<Node, Node> }
  | { readonly type: 'MemberExpression'; readonly object: Node; readonly property: Node; readonly computed: boolean }
  | {
      readonly type: 'SliceExpression';
      readonly start: Node | undefined;
      readonly stop: Node | undefined;
      readonly step: Node | undefined;
    }
  | {
      readonly type: 'BinaryExpression';
      readonly operator: { readonly value: string };
      readonly left: Node;
      readonly right: Node;
    }
  | { readonly type: 'UnaryExpression'; readonly operator: { readonly value: string }; readonly argument: Node }
  | { readonly type: 'FilterExpression'; readonly operand: Node; readonly filter: NameNode | CallNode }
  | { readonly type: 'TestExpression'; readonly operand: Node; readonly negate: boolean; readonly test: NameNode }
  | { readonly type: 'SelectExpression'; readonly lhs: Node; readonly test: Node }
  | { readonly type: 'Ternary'; readonly condition: Node; readonly trueExpr: Node; readonly falseExpr: Node }
  | { readonly type: 'KeywordArgumentExpression'; readonly key: NameNode; readonly value: Node }
  | { readonly type: 'SpreadExpression' | 'KeywordSpreadExpression'; readonly argument: Node };

export interface NameNode {
  readonly type: 'Identifier';
  readonly value: string;
}

export interface CallNode {
  readonly type: 'CallExpression';
  readonly callee: Node;
  readonly args: Node[];
}

/** @throws what the library throws for an invalid template */
export function parseTemplate(source: string): readonly Node[] {
  return (new Template(source).parsed as unknown as { readonly body: readonly Node[] }).body;
}
