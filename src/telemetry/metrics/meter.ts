import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

export type Meter = ReturnType<typeof createMeter>;

/** Makes the metrics of one registry, each in one line. */
export function createMeter(registry: Registry) {
  const registers = [registry];
  return {
    counter: <Label extends string = never>(name: string, help: string, labelNames: readonly Label[] = []) =>
      new Counter({ name, help, labelNames, registers }),
    histogram: <Label extends string = never>(
      name: string,
      help: string,
      buckets: number[],
      labelNames: readonly Label[] = [],
    ) => new Histogram({ name, help, buckets, labelNames, registers }),
    gauge: (name: string, help: string, value = 0) => {
      const gauge = new Gauge({ name, help, registers });
      gauge.set(value);
      return gauge;
    },
    /** Reads the value at each scrape; where there is none, the one before stays. */
    readGauge: (name: string, help: string, read: () => number | undefined): void =>
      void new Gauge({
        name,
        help,
        registers,
        collect() {
          const value = read();
          if (value !== undefined) this.set(value);
        },
      }),
    /** Reads a value for each connector that is there at the scrape. */
    connectorGauge: (
      name: string,
      help: string,
      connectors: () => readonly string[],
      read: (connector: string) => number,
    ): void =>
      void new Gauge({
        name,
        help,
        labelNames: ['connector'],
        registers,
        collect() {
          this.reset();
          for (const connector of connectors()) this.set({ connector }, read(connector));
        },
      }),
  };
}
