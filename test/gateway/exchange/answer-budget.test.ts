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
});
