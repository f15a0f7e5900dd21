import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/servers/global-setup.ts'],
    setupFiles: ['test/support/properties.setup.ts'],
    testTimeout: 60_000,
    // What is waited for comes late on a busy machine; vitest's own second is no bound on that.
    expect: { poll: { timeout: 30_000 } },
    hookTimeout: 120_000,
    teardownTimeout: 30_000,
    maxWorkers: 2,
    // kafkajs sets timers in the past, harmlessly, and Node 24 would say so.
    execArgv: ['--disable-warning=TimeoutNegativeWarning'],
  },
});
