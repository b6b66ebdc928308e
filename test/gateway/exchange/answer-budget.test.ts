import { describe, expect, it } from 'vitest';
import { AnswerBudget } from '../../../src/gateway/exchange/answer-budget.ts';

describe('AnswerBudget', () => {
  it('limits one answer to two thirds of the free budget, and names the limit', () => {
    const budget = new AnswerBudget(900);
    const first = budget.lease();
    first.take(600);
    expect(() => first.take(1)).toThrow(/answersBytesMax \(900 bytes\)/);
    const second = budget.lease();
    expect(() => second.take(201)).toThrow(/answersBytesMax/);
    second.take(200);
    expect(budget.heldBytes).toBe(800);
    first.release();
    first.release();
    expect(budget.heldBytes).toBe(200);
    second.take(100);
    second.give(50);
    expect(budget.heldBytes).toBe(250);
    second.release();
    // Bytes returned after the release are not counted twice.
    second.give(250);
    expect(budget.heldBytes).toBe(0);
  });

  it('keeps half for what answers can not do without', () => {
    const budget = new AnswerBudget(900);
    const spare = budget.spareLease();
    spare.take(300);
    expect(() => spare.take(1)).toThrow(/answersBytesMax/);
    expect(() => budget.spareLease().take(101)).toThrow(/answersBytesMax/);
    const needed = budget.lease();
    needed.take(400);
    expect(() => budget.spareLease().take(1)).toThrow(/answersBytesMax/);
    expect(budget.heldBytes).toBe(700);
    spare.release();
    needed.release();
    expect(budget.heldBytes).toBe(0);
  });
});
