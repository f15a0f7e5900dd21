import { escaped } from '../model/text.ts';

/** A mistake in a configuration: where it is and what to do about it. Never contains a configured value. */
export interface Problem {
  readonly file: string;
  /** From 1; absent if the whole file is meant. */
  readonly line?: number;
  readonly column?: number;
  /** `connectors.group-events.brokers[0]`, or empty. */
  readonly path: string;
  readonly message: string;
  readonly suggestion?: string;
}

export type Path = readonly PropertyKey[];

/** `config/bridge.yaml:12:5 connectors.group-events.topc: unknown key — did you mean "topic"?` */
export function formatProblem({ file, line, column, path, message, suggestion }: Problem): string {
  const where = line === undefined ? `${file}:` : `${file}:${line}:${column ?? 1}`;
  return `${where} ${path === '' ? '' : `${path}: `}${message}${suggestion === undefined ? '' : ` — ${suggestion}`}`;
}

export function formatPath(path: Path): string {
  return path
    .map((key, index) => {
      if (typeof key === 'number') return `[${key}]`;
      const word = String(key);
      if (!/^[\w-]+$/.test(word)) return `[${JSON.stringify(word).replace(/[^\S ]/g, escaped)}]`;
      return index === 0 ? word : `.${word}`;
    })
    .join('');
}
