import { html } from 'hono/html';
import { figure, latency, rate, size } from '../../../model/text.ts';
import type { Texts } from './en.ts';
import { span, times, units } from './ja/counting.ts';
import { pages } from './ja/pages.ts';

export const ja: Texts = {
  lang: 'ja',
  dates: 'ja-JP',
  frame: {
    skip: '本文へ移動',
    app: (id) => html`アプリ ${id}`,
    find: 'グループまたはイベントを検索',
    findHint: 'グループまたはイベント',
    pages: 'ページ',
    utc: '時刻は UTC です。',
    signOut: 'サインアウト',
    reload: '最新の状態を見るには、ページを再読み込みしてください。',
    broken: '現在、この部分を表示できません。',
  },

  sections: {
    overview: '概要',
    events: 'イベント',
    groups: 'グループ',
    'dead-letters': 'デッドレター',
    quarantine: '隔離',
    reconcile: '照合',
  },

  script: {
    units,
    ago: '{}前',
    for: '{}前から',
    in: '{}後',
    now: 'まもなく',
    live: 'ライブ更新中',
    lost: '接続なし：ブリッジが応答しません。再接続しています…',
    crowded: 'ライブ更新なし：表示中のページが多すぎます。再接続しています…',
    asOf: 'ブリッジが応答しません。表示内容は {} UTC 時点のものです。',
    again: '再接続しています…',
    undone: '操作は実行されませんでした。',
  },

  signIn: {
    title: 'サインイン',
    notSignedIn: 'サインインできませんでした',
    where: 'group-sync-bridge の管理サーバー',
    token: 'トークン',
    hint: html`ブリッジの設定ファイルにある <code>admin.token</code> の値です。`,
    wrong: 'トークンが正しくありません。',
    slowed: 'このアドレスから誤ったトークンが何度も送られました。1 分ほど待ってから、もう一度お試しください。',
  },

  verdict: {
    recorded: 'コールバックを記録しています',
    receivesNothing: 'このブリッジはコールバックを受信しません',
    notRecorded: (reason) => `コールバックを記録できません：${reason}`,
    noCopies: 'コピーなし：有効なコネクタがありません',
    copies: (inStep, all, compared, verified) => {
      const how =
        inStep < all
          ? `${all} 件中 ${inStep} 件のコピーが同期済み`
          : all === 1
            ? 'コピーは同期済み'
            : `${all} 件のコピーはすべて同期済み`;
      if (compared === 0) return `${how}（比較なし）`;
      const some = compared < all ? `${all} 件中 ${compared} 件を` : '';
      return verified === undefined ? how : `${how}（${some}${span(verified)}前に検証）`;
    },
    trouble: (connector, says) => `${connector}：${says}`,
    between: ' ／ ',
    behind: (events, seconds) => {
      const how = events === null ? '遅れの件数は不明' : `${times(events)}の遅れ`;
      return seconds > 0 ? `${how}（${span(seconds)}）` : how;
    },
    unreachable: (seconds, behind) => `${span(seconds)}前から到達不能${behind === undefined ? '' : `、${behind}`}`,
    paused: (behind) => `一時停止中${behind === undefined ? '' : `、${behind}`}`,
    connecting: '接続中',
    ended: '終了',
    incomplete: (reason) => `不完全（${reason}）`,
    deadLetters: (count) => `デッドレター ${times(count)}`,
    differs: (count) => `未修復の差異 ${times(count)}`,
    neverVerified: '未検証',
    lastVerified: (seconds) => `最後の検証は${span(seconds)}前`,
  },

  moments: { ago: (at) => at, for: (at) => `${at} から`, in: (at) => at },

  text: {
    more: (count) => `残り ${figure(count)} 文字`,
    label: 'テキスト',
    nothingKnown: '不明',
    empty: '空',
    length: (count) => `${figure(count)} 文字`,
    tooLarge: (count, where) => html`ほか ${times(count)}は大きすぎるため、ここには表示できません：${where}`,
    pager: 'ページ送り',
    later: '次へ',
    and: (more) => html`、${more}`,
    noMore: 'これより後にはありません。',
    oldest: '最も古いものへ',
  },

  fault: {
    setting: '設定項目',
    means: {
      'not-json': 'リクエスト本文が JSON オブジェクトではありません',
      'body-incomplete': 'リクエスト本文が途中で切れたか、届くのが遅すぎました',
      'query-invalid': 'CallbackCommand がないか不正です。または HTTP リクエストではありません',
      'callback-invalid': 'フィールドが足りないか、型が違います',
      'command-mismatch': 'クエリと本文でコマンドが異なります',
      'sign-missing': 'Sign または RequestTime がありません',
      'sign-stale': 'RequestTime がこのマシンの時計と離れすぎています',
      'sign-wrong': 'Sign がどのトークンとも一致しません',
      'address-refused': '送信元アドレスが許可されていません',
      'app-mismatch': 'SdkAppid が別のアプリのものです',
      'command-refused': 'このコマンドは受け付けません',
      'path-unknown': 'パスが違います',
      'method-unknown': 'POST ではありません',
      'body-too-large': 'リクエスト本文が大きすぎます',
      'rate-limited': '1 つのアドレスからのコールバックが多すぎます',
      internal: 'ブリッジの内部エラーです',
      overloaded: '処理中のコールバックが多すぎます',
      'forward-failed': '転送先のハンドラーが応答しません',
      'journal-in-use': '別のブリッジがこのジャーナルを開いています',
      'journal-unusable': 'ジャーナルのファイルを使えません',
      'journal-unwritable': 'ジャーナルに書き込めません',
      'journal-groups-full': 'グループがジャーナルの半分を占めています',
      'quarantine-full': '隔離が満杯です',
      stopping: 'ブリッジを停止しています',
      'destination-unreachable': '配信先が応答しません',
      'destination-overloaded': '配信先が過負荷か、ディスクが満杯です',
      'destination-credentials': '配信先がユーザー、キー、または証明書を拒否しています',
      'destination-missing': 'トピックまたはインデックスがありません',
      'destination-misconfigured': '配信先はありますが、この設定では使えません',
      'event-too-large': 'イベントが配信先の上限を超えています',
      'event-refused': '配信先がこのイベントを拒否しました',
      'event-unshaped': 'shape.transform の関数が失敗しました',
      'event-conflict': '同じドキュメントへの書き込みが競合しています',
      'event-unsettled': '同じグループの先のイベントか再配信を待っているか、配信先の回答がありません',
      'copy-unknown': '現在、コピーを比較できません',
    },
  },

  notices: {
    paused: () => '一時停止しました。コールバックの記録は続きますが、再開するまでコネクタには何も配信されません。',
    resumed: () => '再開しました。',
    replaying: (n) => `イベント ${times(n)}を再配信します。`,
    'nothing-to-replay': () => '再配信するものはありません。その時点以降に記録されたイベントがありません。',
    restoring: (n) => `グループ ${times(n)}を配信先に再同期します。`,
    brought: () => 'このグループを、保持すべき各コピーに再同期します。',
    retried: (n) =>
      n === 0
        ? '再試行するものはありません。該当するデッドレターはありません。'
        : `デッドレター ${times(n)}を再試行します。結果はこのページに表示されます。`,
    discarded: (n) =>
      n === 0
        ? '何も破棄されませんでした。該当するデッドレターはありません。'
        : `デッドレター ${times(n)}を破棄しました。`,
    mapped: (n) =>
      n === 0
        ? '変換できたものはありません。このブリッジはまだこの形式に対応していません。'
        : `${times(n)}を変換しました。`,
    'quarantine-discarded': (n) =>
      n === 0
        ? '何も破棄されませんでした。該当するコールバックはありません。'
        : `コールバック ${times(n)}を破棄しました。`,
    'sample-too-late': () => 'サンプルは送信されませんでした。ブリッジにはすでに記録があります。',
    'sample-sent': () => 'サンプルを記録しました。配信先とともに下に表示されます。',
    'reconcile-started': () => '照合を開始しました。',
    'reconcile-stopped': () => '照合を停止しました。読み取り済みの内容は保持されます。',
    'reconcile-running': () => '開始しませんでした。照合はすでに実行中です。',
    'reconcile-unconfigured': () => '照合は設定されていません。',
    'connector-unknown': () => '操作は実行されませんでした。その名前のコネクタはもう動作していません。',
    invalid: () =>
      '操作は実行されませんでした。フォームの入力内容が正しくありません。再配信の場合は、選択した seq または時刻を入力してください。',
    failed: () => '実行できませんでした。理由はログを確認してください。ジャーナルのディスクに空きはありますか？',
  },

  overview: {
    open: 'app.callbackTokens も receiver.allowFrom も設定されていません。レシーバーに到達できる人は誰でもコールバックを送信でき、ジャーナルを埋め尽くすこともできます',
    receiver: (url) => html`受信先 ${url}`,
    callbacks: 'コールバック',
    perSecond: '件/秒',
    answered: '応答時間',
    mostBehind: '最大の遅れ',
    events: () => '件',
    unreachable: (count, all) => html`<b class="bad">${count} / ${all}</b> <span class="quiet">到達不能</span>`,
    reachable: (all) => html`<b>${all}</b> <span class="quiet">件すべて到達可能</span>`,
    refusals: '受け付けなかったコールバック',
    refusal: (what, sender, last) =>
      html`<b>${what}</b>${sender !== undefined && html`（送信元 ${sender}）`}、最後は ${last}`,
    hour: '直近 1 時間',
    figures: '数値で見る',
    journal: 'ジャーナル',
    recorded: (count, bytes) =>
      html`これまでに記録したイベント <b>${figure(count)}</b> 件、ディスク使用量 ${size(bytes)}`,
    fill: 'ジャーナルの使用率',
    used: (share, most) => `${size(most)} 中 ${share} を使用`,
    prunedEarly: '配信済みイベントを前倒しで削除しています',
    kept: (seconds) => `配信済みのイベントは ${span(seconds)}間保持されます。`,
    quarantine: 'イベントに変換できなかった Chat のコールバックを、受信したまま保管しています。',
    reconcileOff: '設定されていません。Webhook が取りこぼした変更は検出されません。',
    details: '詳細',
    stopped: (ago) => html`${ago}に停止`,
    ended: (ago) => html`${ago}に終了`,
    dryRun: '（ドライラン）',
    result: (dryRun, mended, inStep) =>
      `グループ：${dryRun ? '差異あり' : '修復'} ${times(mended)}、同期済み ${times(inStep)}`,
    recent: '最近のイベント',
    sample: 'サンプルを送信',
    sampleIs:
      '架空のコールバックをレシーバーに送ります。グループ @TGS#SAMPLE0 のイベントとして、すべてのコネクタに配信されます。',
    nothing: 'まだ何も記録されていません。最初のコールバックが届くと、自動的にここに表示されます。',
  },

  plots: {
    outcomes: {
      recorded: '記録',
      duplicate: '重複',
      acknowledged: '確認応答',
      forwarded: '転送',
      quarantined: '隔離',
      refused: '拒否',
      failed: '失敗',
      'passed-on': '転送・確認応答',
    },
    rate: '1 秒あたりのコールバック',
    rateSummary: (total, parts, highest) =>
      `直近 1 時間のコールバックは ${times(total)}：${parts.join('、')}。最大で毎秒 ${rate(highest)} 件。`,
    part: (count, what) => `${what} ${times(count)}`,
    none: 'コールバックなし',
    column: (perSecond, parts) => `毎秒 ${rate(perSecond)} 件：${parts.join('、')}`,
    latency: '応答時間',
    nothing: '直近 1 時間に応答したコールバックはありません。',
    latencySummary: (typical, worst) =>
      `中央値 ${latency(typical)}、最悪値 ${latency(worst)}（30 秒ごとの 99 パーセンタイル）。Chat は 2 秒でタイムアウトします。`,
    worst: 'p99 最悪値',
    limit: '2 秒：Chat のタイムアウト',
    now: '現在',
    table: '直近 1 時間のコールバック（5 分ごと、新しい順）',
    from: '開始 (UTC)',
    hover: (from, to, what) => `${from}～${to} UTC：${what}`,
  },

  connectors: {
    title: 'コネクタ',
    kind: { groups: (kind) => `${kind}（グループ）`, events: (kind) => `${kind}（イベント）` },
    behind: '遅れ',
    delivered: '配信',
    toReview: (count) => html`要確認 <b>${figure(count)}</b> 件`,
    pause: '一時停止',
    resume: '再開',
    replay: '再配信…',
    unreachable: (since, next) => html`${since}到達不能です。次の試行：${next}。`,
    safe: 'イベントはジャーナルで待機しており、失われません。',
    lastError: (ago, scope) => html`最後のエラー：${ago}（${scope}）`,
    scopes: {
      destination: '解消済み',
      retry: '再試行中のイベント 1 件',
      'dead-letter': 'デッドレター',
    },
    incomplete: (since, reason) => html`${since}不完全です：${reason}`,
    lacking: (count, before) =>
      `${before} UTC より前に受信したイベント ${times(count)}は、届けられる前に削除されていました。`,
    notCompared: '比較なし（verify がオフ）',
    verified: (ago) => html`${ago}に検証`,
    differing: (count) => html`：<b class="bad">未修復の差異 ${times(count)}</b>`,
    resyncing: 'グループを再同期しています',
    resynced: 'グループを再同期しました',
    progress: (done, total, written) => `${figure(total)} 件中 ${figure(done)} 件、書き込み ${times(written)}`,
    failed: (count) => html`、<b class="bad">失敗 ${times(count)}</b>`,
    troubles: {
      unreachable: '到達不能',
      incomplete: '不完全',
      'dead-letters': 'デッドレター',
      behind: '遅れ',
      connecting: '接続中',
      paused: '一時停止中',
      differs: '差異あり',
      unverified: '未検証',
    },
    replayFrom: (name) => `${name} に再配信する範囲`,
    fromBeginning: '最初から：ジャーナルにあるすべて',
    fromSeq: '指定した seq 以降',
    fromTime: '指定した受信時刻 (UTC) 以降',
    fromGroups: 'グループ：これまでに記録した全グループのマージ済みの状態',
    replaySafe:
      'イベントの ID は変わらず、コピーは収束するため、再配信は安全です。ただし、その分の配信負荷がかかります。',
    replayNow: '再配信する',
  },

  ...pages,
};
