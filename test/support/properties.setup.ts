import fc from 'fast-check';

// CI must be reproducible; by hand, each run of `npm test` draws histories of its own.
if (process.env.CI === 'true') fc.configureGlobal({ seed: 1 });
