/** The vendor's package comes without types. */
declare module 'tls-sig-api-v2' {
  class Api {
    constructor(sdkAppId: number, secretKey: string);
    /** Valid for `expire` seconds from now. */
    genUserSig(identifier: string, expire: number): string;
  }
  const exported: { Api: typeof Api };
  export default exported;
}
