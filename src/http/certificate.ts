import { hash, X509Certificate } from 'node:crypto';
import { statSync } from 'node:fs';
import type { Server } from 'node:https';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import { readPem } from '../model/bounded.ts';
import { BridgeError, faultOf, messageOf } from '../model/fault.ts';
import type { SignalBus } from '../model/signal.ts';

/** The files that `receiver.tls` names, all in PEM. */
export interface CertificateFiles {
  readonly certFile: string;
  readonly keyFile: string;
  readonly keyPassphrase?: string | undefined;
  /** Authorities; callers must show a certificate of one of them. */
  readonly clientCaFile?: string | undefined;
}

export type Certificate = ReturnType<typeof readCertificate>;

/** Reads the files, which must fit together. Throws a BridgeError (`certificate-unusable`) that names the setting. */
export function readCertificate(files: CertificateFiles) {
  const { certFile, keyFile, clientCaFile } = files;
  const cert = readAuthority('receiver.tls.certFile', certFile);
  const key = tried('receiver.tls.keyFile', keyFile, () => readPem(keyFile));
  const ca = clientCaFile && readAuthority('receiver.tls.clientCaFile', clientCaFile);
  const options: SecureContextOptions = { cert, key, ca, passphrase: files.keyPassphrase };
  tried('receiver.tls.keyFile', keyFile, () => createSecureContext(options));
  return {
    files,
    options,
    /** When the server's own certificate, the first in the file, expires; milliseconds since 1970. */
    notAfter: new X509Certificate(cert).validToDate.getTime(),
    /** A hash of all files, to tell a change from a mere touch. */
    digest: hash('sha256', [cert, key, ca].join('\n')),
  };
}

/** Reads PEM with at least one certificate. Throws as readCertificate does; `setting` is what names the file. */
export function readAuthority(setting: string, file: string): string {
  return tried(setting, file, () => {
    const pem = readPem(file);
    new X509Certificate(pem);
    return pem;
  });
}

function tried<T>(setting: string, file: string, work: () => T): T {
  try {
    return work();
  } catch (thrown) {
    const suggestion = setting.endsWith('keyFile')
      ? 'it must hold the private key of certFile, in PEM, and keyPassphrase what it is encrypted with'
      : 'it must be a file in PEM that this user may read';
    const message = `${file} cannot be used: ${messageOf(thrown)}`;
    throw new BridgeError({ code: 'certificate-unusable', path: setting, message, suggestion }, thrown);
  }
}

const LOOK_MS = 1_000;

/**
 * Uses a renewed certificate for new connections; open ones continue undisturbed. A pair that does not fit (one file
 * written, the other not yet) changes nothing. Polls the files instead of watching them: changes through mounts and links
 * raise no reliable event.
 */
export function keepCertificate(
  server: Server,
  { files, ...first }: Certificate,
  signals: SignalBus,
  signal: AbortSignal,
): void {
  const paths = [files.certFile, files.keyFile, files.clientCaFile].filter((path) => path !== undefined);
  let { digest } = first;
  let seen = stamps(paths);
  const timer = setInterval(() => {
    // The stamps are taken before the files are read, so that a write in between is noticed the next time.
    const now = stamps(paths);
    if (now === seen) return;
    seen = now;
    try {
      const next = readCertificate(files);
      if (next.digest === digest) return;
      server.setSecureContext(next.options);
      digest = next.digest;
      signals.emit('tls.loaded', { file: files.certFile, notAfter: next.notAfter });
    } catch (thrown) {
      signals.emit('tls.failed', { fault: faultOf(thrown, 'certificate-unusable') });
    }
  }, LOOK_MS);
  timer.unref();
  signal.addEventListener('abort', () => clearInterval(timer), { once: true });
}

function stamps(paths: readonly string[]): string {
  const stats = paths.map((path) => statSync(path, { bigint: true, throwIfNoEntry: false }));
  return stats.map((stat) => `${stat?.ino}-${stat?.size}-${stat?.mtimeNs}`).join(' ');
}
