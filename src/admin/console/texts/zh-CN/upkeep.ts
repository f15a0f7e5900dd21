import { html } from 'hono/html';
import { figure } from '../../../../model/text.ts';
import type { upkeep as English } from '../en/upkeep.ts';
import { span } from './counting.ts';

export const upkeep = {
  deadLetters: {
    lead: '被目标端拒绝、不再投递的事件。后续事件仍照常投递。死信会一直保留，直到重试或丢弃。',
    unknown: (name) => html`没有名为 ${name} 的连接器在运行。`,
    triedAgain: (taken, delivered, refused, open) =>
      `已重试 ${figure(taken)} 条死信：${figure(delivered)} 条送达，${figure(refused)} 条再次被拒绝${open > 0 ? `，${figure(open)} 条正在处理` : ''}。`,
    cause: (cause) => html`原因 ${cause}`,
    export: '导出',
    first: (ago) => html`最早 ${ago}`,
    last: (ago) => html`最近 ${ago}`,
    total: (count, connector) => html`${connector} 有 <b>${figure(count)} 条死信</b>`,
    byCause: (connector) => `${connector} 的死信，按原因`,
    letters: '数量',
    givenUp: '放弃时间',
    newest: '最新一条',
    actions: '操作',
    warning: (count, connector) =>
      `将永久删除 ${figure(count)} 条死信：除非重放，否则 ${connector} 再也不会收到其中的事件。`,
    confirm: (count) => `永久丢弃 ${figure(count)} 条`,
    none: (connector) => `${connector} 没有死信。`,
    noneOfCause: (connector) => `${connector} 没有此原因的死信。`,
    oldestFirst: (connector) => `${connector} 的死信，最早在前`,
    why: '拒绝原因',
    retry: '重试',
    retryAll: '全部重试',
    discard: '丢弃…',
    discardAll: '全部丢弃…',
  },

  quarantine: {
    lead: '不符合本服务所知协议的 Chat 回调。这些回调已应答 OK 并按原样保留；升级本服务后会自动转换。',
    none: '隔离区为空。仅在设置了 app.callbackTokens 时才会在此保留回调：没有 Sign，任何人都可以把它占满。',
    total: (count) => `${figure(count)} 个回调`,
    map: '重新转换',
    callback: (id) => `回调 ${figure(id)}`,
    received: (ago) => html`${ago}接收`,
    query: '查询参数',
    body: (length) => `正文，${figure(length)} 个字符`,
    warning: '将永久删除，其中的变更也随之丢失。',
    confirm: (id) => `丢弃回调 ${id}`,
  },

  reconcile: {
    lead: '通过 Chat 的 REST API 重新读取群组，并记录差异：Webhook 遗漏的变更会得到修复。',
    add: '请将以下内容加入配置文件，密钥从 Chat 控制台获取：',
    start: '开始',
    continue: '继续',
    stop: '停止',
    confirm: '读取并修复差异',
    dryRun: '试运行：只报告差异',
    next: (when) => html`下次运行：${when}`,
    neverRan: '尚未运行。',
    noDryRun:
      '自上次运行或本服务启动以来没有试运行过，无法预知有多少群组会被修复、多少会被标记为已解散。试运行可以给出答案。',
    foretold: (when, cut, mended, destroyed, known) =>
      html`根据 ${when}的试运行${cut && '（未完成）'}：将修复 ${figure(mended)} 个群组，并在所有副本中将<b class="${destroyed > 0 ? 'bad' : ''}">已知 ${figure(known)} 个中的 ${figure(destroyed)} 个</b>标记为已解散。`,
    held: (withheld, known, what) =>
      html`已知的 ${figure(known)} 个群组中有 ${figure(withheld)} 个在 Chat 中已不存在，超过了 <code>reconcile.maxGone</code>。${what}：请确认 app.sdkAppId 和地域是否正确。若确实要标记为已解散，请使用 <code>reconcile --allow-gone</code>。`,
    willFail: '运行时不会解散其中任何一个，并以失败结束',
    noneDestroyed: '其中没有一个被标记为已解散',
    nothingDiffers: '没有差异。',
    findings: '运行后会有的变更',
    would: '将会',
    beforeAfter: '变更前 → 变更后',
    firstOf: (count, total) =>
      html`共 ${figure(total)} 个，显示前 ${figure(count)} 个：<code>reconcile --dry-run --json</code> 可查看全部。`,
    newField: '新增：此前未知',
    current: (dryRun) => `当前运行${dryRun ? '（试运行）' : ''}`,
    last: (dryRun) => `上次运行${dryRun ? '（试运行）' : ''}`,
    states: {
      running: '正在运行',
      stopped: '已停止',
      gone: '已结束，不存在的群组过多',
      unread: '已结束，部分未能读取',
      ended: '已结束',
    },
    started: (ago) => html`${ago}开始`,
    took: (seconds) => `，耗时 ${span(seconds)}`,
    progress: (read, total) => `${figure(read)}/${figure(total)}`,
    read: '已读取',
    mended: (dryRun) => (dryRun ? '有差异' : '已修复'),
    destroyed: (dryRun) => (dryRun ? '将标记为已解散' : '标记为已解散'),
    ofKnown: (known) => `/ 已知 ${figure(known)} 个`,
    gone: '已不存在',
    failed: '失败',
    differed: '各字段的差异',
    seeApi: '请查看 /api/reconcile',
    notRead: (count) => `未能读取的群组（前 ${figure(count)} 个）`,
    why: '原因',
  },
} satisfies typeof English;
