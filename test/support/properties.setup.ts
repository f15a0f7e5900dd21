import fc from 'fast-check';

// What decides whether a change lands must be reproducible; by hand, each run of `npm test` draws histories of its own.
if (process.env.CI === 'true') fc.configureGlobal({ seed: 1 });
