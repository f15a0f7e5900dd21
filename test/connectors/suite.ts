/** The suite that every connector passes, in vitest. A connector's test gives a Target; see src/kit/suite.ts. */
import { describe, test } from 'vitest';
import type { Connector } from '../../connectors/contract.ts';
import { optionCases } from '../../src/kit/life-cases.ts';
import { destinationCases } from '../../src/kit/suite.ts';
import type * as Kit from '../../src/kit/target.ts';

export * from '../../src/kit/doubles.ts';
export type { Copies, Found, Place, Poison } from '../../src/kit/target.ts';

export interface Target<Options> extends Kit.Target<Options> {
  readonly connector: Connector<Options>;
  /** Why none of it can run here, or '' when it can. */
  readonly skip: string;
}

export function connectorSuite<Options>(target: Target<Options>): void {
  const title = `connector ${target.name}${target.skip === '' ? '' : ` (skipped: ${target.skip})`}`;
  describe.skipIf(target.skip !== '')(title, () => register(destinationCases(target)));
  describe(`options of connector ${target.name}`, () => register(optionCases(target)));
}

function register(cases: readonly Kit.Case[]): void {
  for (const { name, run } of cases) {
    test(name, async ({ skip }) => {
      const reason = await run();
      if (typeof reason === 'string') skip(reason);
    });
  }
}
