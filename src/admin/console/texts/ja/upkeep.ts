import { html } from 'hono/html';
import { figure } from '../../../../model/text.ts';
import type { upkeep as English } from '../en/upkeep.ts';
import { span, times } from './counting.ts';

export const upkeep = {
  deadLetters: {
    lead: '配信先に拒否され、配信を断念したイベントです。以降のイベントは通常どおり配信されています。再試行するか破棄するまで、ここに残ります。',
    unknown: (name) => html`${name} というコネクタは動作していません。`,
    triedAgain: (taken, delivered, refused, open) =>
      `デッドレター ${times(taken)}を再試行しました：配信 ${times(delivered)}、再び拒否 ${times(refused)}${open > 0 ? `、処理中 ${times(open)}` : ''}。`,
    cause: (cause) => html`原因 ${cause}`,
    export: 'エクスポート',
    first: (ago) => html`最初 ${ago}`,
    last: (ago) => html`最後 ${ago}`,
    total: (count, connector) => html`${connector} の<b>デッドレター ${times(count)}</b>`,
    byCause: (connector) => `${connector} のデッドレター（原因別）`,
    letters: '件数',
    givenUp: '断念した時刻',
    newest: '最新',
    actions: '操作',
    warning: (count, connector) =>
      `デッドレター ${times(count)}を完全に削除します。再配信しない限り、イベントが ${connector} に届くことはありません。`,
    confirm: (count) => `${times(count)}を完全に破棄`,
    none: (connector) => `${connector} にデッドレターはありません。`,
    noneOfCause: (connector) => `${connector} に、この原因のデッドレターはありません。`,
    oldestFirst: (connector) => `${connector} のデッドレター（古い順）`,
    why: '拒否された理由',
    retry: '再試行',
    retryAll: 'すべて再試行',
    discard: '破棄…',
    discardAll: 'すべて破棄…',
  },

  quarantine: {
    lead: 'ブリッジが対応するプロトコルに合わなかった Chat のコールバックです。OK を返したうえで、受信したまま保管しています。ブリッジをアップグレードすると、自動的に変換されます。',
    none: '隔離されたコールバックはありません。隔離は app.callbackTokens を設定している場合にだけ行われます。Sign がなければ、誰でもここを埋め尽くせるためです。',
    total: (count) => `コールバック ${times(count)}`,
    map: 'もう一度変換',
    callback: (id) => `コールバック ${figure(id)}`,
    received: (ago) => html`${ago}に受信`,
    query: 'クエリ',
    body: (length) => `ボディ（${figure(length)} 文字）`,
    warning: '完全に削除します。このコールバックが伝える変更は失われます。',
    confirm: (id) => `コールバック ${id} を破棄`,
  },

  reconcile: {
    lead: 'Chat の REST API でグループを読み直し、差異を記録します。Webhook が取りこぼした変更が修復されます。',
    add: 'Chat コンソールで取得したアプリのキーを使い、設定ファイルに次の内容を追加してください。',
    start: '開始',
    continue: '続行',
    stop: '停止',
    confirm: '読み取って差異を修復',
    dryRun: 'ドライラン：差異の報告のみ',
    next: (when) => html`次回の実行：${when}`,
    neverRan: 'まだ実行されていません。',
    noDryRun:
      '前回の実行またはブリッジの起動以降、ドライランは行われていません。修復されるグループや解散扱いになるグループの数は、ドライランを実行するとわかります。',
    foretold: (when, cut, mended, destroyed, known) =>
      html`${when}のドライラン${cut && '（途中で停止）'}によると、グループ ${times(mended)}が修復され、<b class="${destroyed > 0 ? 'bad' : ''}">既知の ${figure(known)} 件中 ${times(destroyed)}</b>がすべてのコピーで解散扱いになります。`,
    held: (withheld, known, what) =>
      html`既知のグループ ${figure(known)} 件中 ${times(withheld)}が Chat に存在せず、<code>reconcile.maxGone</code> の上限を超えています。${what}。app.sdkAppId とリージョンが正しいか確認してください。解散扱いにするには <code>reconcile --allow-gone</code> を使います。`,
    willFail: '実行しても 1 件も解散扱いにはならず、失敗として終了します',
    noneDestroyed: '1 件も解散扱いにはしていません',
    nothingDiffers: '差異はありません。',
    findings: '実行した場合の変更',
    would: '処理',
    beforeAfter: '変更前 → 変更後',
    firstOf: (count, total) =>
      html`${figure(total)} 件中、最初の ${times(count)}です。すべてを見るには <code>reconcile --dry-run --json</code> を使います。`,
    newField: '新規：これまで未知',
    current: (dryRun) => `現在の実行${dryRun ? '（ドライラン）' : ''}`,
    last: (dryRun) => `前回の実行${dryRun ? '（ドライラン）' : ''}`,
    states: {
      running: '実行中',
      stopped: '停止',
      gone: '終了（存在しないグループが多すぎます）',
      unread: '終了（一部は読み取れませんでした）',
      ended: '終了',
    },
    started: (ago) => html`${ago}に開始`,
    took: (seconds) => `、所要時間 ${span(seconds)}`,
    progress: (read, total) => `${figure(total)} 件中 ${times(read)}`,
    read: '読み取り',
    mended: (dryRun) => (dryRun ? '差異あり' : '修復'),
    destroyed: (dryRun) => (dryRun ? '解散扱いの予定' : '解散扱い'),
    ofKnown: (known) => `/ 既知 ${figure(known)} 件`,
    gone: '存在しない',
    failed: '失敗',
    differed: '差異のあったフィールド',
    seeApi: '/api/reconcile を参照',
    notRead: (count) => `読み取れなかったグループ（最初の ${times(count)}）`,
    why: '理由',
  },
} satisfies typeof English;
