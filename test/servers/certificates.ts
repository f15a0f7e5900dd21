import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generate } from 'selfsigned';

/** A certificate and its private key (PKCS#8), both PEM. */
export interface Issued {
  readonly certificate: string;
  readonly key: string;
}

/** A certificate authority of a test's own. */
export interface Authority extends Issued {
  issue(options?: IssueOptions): Promise<Issued>;
}

export interface IssueOptions {
  readonly commonName?: string;
  /** Names it is valid for; localhost and 127.0.0.1 when left out. */
  readonly names?: readonly string[];
  readonly notAfter?: Date;
  readonly notBefore?: Date;
}

const DAY_MS = 86_400_000;
const kind = { keyType: 'ec', curve: 'P-256', algorithm: 'sha256' } as const;

/** Certificates are made at test time: none that is checked in runs out, or is used elsewhere. */
export async function createAuthority(name: string): Promise<Authority> {
  const own = await generate([{ name: 'commonName', value: name }], {
    ...kind,
    notBeforeDate: new Date(Date.now() - 2 * DAY_MS),
    notAfterDate: new Date(Date.now() + 30 * DAY_MS),
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
    ],
  });
  return {
    certificate: `${own.cert.trim()}\n`,
    key: `${own.private.trim()}\n`,
    async issue({
      commonName = 'test',
      names = ['localhost', '127.0.0.1'],
      notBefore = new Date(Date.now() - DAY_MS),
      notAfter = new Date(Date.now() + 10 * DAY_MS),
    } = {}) {
      const issued = await generate([{ name: 'commonName', value: commonName }], {
        ...kind,
        ca: { key: own.private, cert: own.cert },
        notBeforeDate: notBefore,
        notAfterDate: notAfter,
        extensions: [
          { name: 'basicConstraints', cA: false },
          { name: 'keyUsage', digitalSignature: true },
          { name: 'extKeyUsage', serverAuth: true, clientAuth: true },
          {
            name: 'subjectAltName',
            altNames: names.map((name) => (/^[\d.]+$/.test(name) ? { type: 7, ip: name } : { type: 2, value: name })),
          },
        ],
      });
      return { certificate: `${issued.cert.trim()}\n`, key: `${issued.private.trim()}\n` };
    },
  };
}

export interface PemFolder {
  /** Writes a file of its own and returns its path. */
  file(pem: string): string;
  /** Returns the path of a file that is not written yet. */
  path(name: string): string;
  remove(): void;
}

/** Makes a folder for the PEM files that a configuration names. */
export function createPemFolder(): PemFolder {
  const folder = mkdtempSync(join(tmpdir(), 'pem-'));
  const path = (name: string): string => join(folder, name);
  return {
    file(pem) {
      const name = path(`${randomUUID()}.pem`);
      writeFileSync(name, pem);
      return name;
    },
    path,
    remove: () => rmSync(folder, { recursive: true }),
  };
}
