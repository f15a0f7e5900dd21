import { html } from 'hono/html';
import { figure } from '../../../../model/text.ts';
import type { everywhere as English } from '../en/everywhere.ts';
import { span, times, units } from './counting.ts';

export const everywhere = {
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
    copies: (inStep, all, compared, verified) => {
      const how =
        inStep < all
          ? `${all} 件中 ${inStep} 件のコピーが同期済み`
          : all === 1
            ? 'コピーは同期済み'
            : `${all} 件のコピーはすべて同期済み`;
      if (compared === 0 && all > 0) return `${how}（比較なし）`;
      const some = compared < all ? `うち ${compared} 件を` : '';
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

  fault: { setting: '設定項目' },

  notices: {
    paused: () => '一時停止しました。コールバックの記録は続きますが、再開するまでコネクタには何も配信されません。',
    resumed: () => '再開しました。',
    replaying: (n) => `イベント ${times(n)}を再配信します。`,
    'nothing-to-replay': () => '再配信するものはありません。その時点以降に記録されたイベントがありません。',
    restoring: (n) => `グループ ${times(n)}を配信先に再同期します。`,
    brought: (n) => `このグループを ${figure(n)} 個のコピーに再同期します。`,
    retried: (n) => `デッドレター ${times(n)}を再試行します。結果はこのページに表示されます。`,
    discarded: (n) =>
      n === 0
        ? '何も破棄されませんでした。該当するデッドレターはありません。'
        : `デッドレター ${times(n)}を破棄しました。`,
    mapped: (n) =>
      n === 0
        ? '変換できたものはありません。このブリッジはまだこの形式に対応していません。'
        : `${times(n)}を変換しました。`,
    'quarantine-discarded': (n) => `コールバック ${times(n)}を破棄しました。`,
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
} satisfies typeof English;
