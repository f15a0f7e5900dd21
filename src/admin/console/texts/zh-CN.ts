import { html } from 'hono/html';
import { figure, latency, rate, size } from '../../../model/text.ts';
import type { Texts } from './en.ts';
import { span, units } from './zh-CN/counting.ts';
import { pages } from './zh-CN/pages.ts';

export const zhCN: Texts = {
  lang: 'zh-CN',
  dates: 'zh-CN',
  frame: {
    skip: '跳到正文',
    app: (id) => html`应用 ${id}`,
    find: '查找群组或事件',
    findHint: '群组、事件、RequestID',
    pages: '页面',
    utc: '时间均为 UTC。',
    signOut: '退出登录',
    reload: '刷新页面可查看最新数据。',
    broken: '暂时无法显示这部分内容。',
  },

  sections: {
    overview: '概览',
    events: '事件',
    groups: '群组',
    'dead-letters': '死信',
    quarantine: '隔离区',
    reconcile: '对账',
  },

  script: {
    units,
    ago: '{}前',
    for: '已持续 {}',
    in: '{}后',
    now: '即将',
    live: '实时更新中',
    lost: '连接已断开：服务没有响应。正在重试…',
    crowded: '未实时更新：同时查看的页面过多。正在重试…',
    asOf: '服务没有响应。当前显示的是 {} UTC 时的内容。',
    again: '正在重试…',
    undone: '操作未执行。',
  },

  signIn: {
    title: '登录',
    notSignedIn: '登录失败',
    where: 'group-sync-bridge 管理服务',
    token: '令牌',
    hint: html`即配置文件中 <code>admin.token</code> 的值。`,
    wrong: '令牌不正确。',
    slowed: '你的地址尝试了过多错误的令牌。请等待一分钟后再试。',
  },

  verdict: {
    recorded: '回调记录正常',
    receivesNothing: '本服务不接收回调',
    notRecorded: (reason) => `回调无法记录：${reason}`,
    copies: (inStep, all, compared, verified) => {
      const how =
        inStep < all ? `${all} 个副本中 ${inStep} 个已同步` : all === 1 ? '副本已同步' : `${all} 个副本全部已同步`;
      if (compared === 0 && all > 0) return `${how}（不比对）`;
      const some = compared < all ? `其中 ${compared} 个于 ` : '';
      return verified === undefined ? how : `${how}（${some}${span(verified)}前校验）`;
    },
    trouble: (connector, says) => `${connector} ${says}`,
    between: '；',
    behind: (events, seconds) => {
      const how = events === null ? '积压数量未知' : `积压 ${figure(events)} 个事件`;
      return seconds > 0 ? `${how}（已持续 ${span(seconds)}）` : how;
    },
    unreachable: (seconds, behind) => `已有 ${span(seconds)}无法连接${behind === undefined ? '' : `，${behind}`}`,
    paused: (behind) => `已暂停${behind === undefined ? '' : `，${behind}`}`,
    connecting: '正在连接',
    ended: '已结束',
    incomplete: (reason) => `不完整（${reason}）`,
    deadLetters: (count) => `有 ${figure(count)} 条死信`,
    differs: (count) => `有 ${figure(count)} 处差异未修复`,
    neverVerified: '尚未校验',
    lastVerified: (seconds) => `上次校验是在 ${span(seconds)}前`,
  },

  moments: { ago: (at) => at, for: (at) => `自 ${at}`, in: (at) => at },

  text: {
    more: (count) => `其余 ${figure(count)} 个字符`,
    label: '文本',
    nothingKnown: '未知',
    empty: '空',
    length: (count) => `${figure(count)} 个字符`,
    tooLarge: (count, where) => html`另有 ${figure(count)} 项内容过大，无法在此页显示：${where}`,
    pager: '翻页',
    later: '下一页',
    and: (more) => html`，${more}`,
    noMore: '后面没有更多了。',
    oldest: '回到最早',
  },

  fault: { setting: '配置项' },

  notices: {
    paused: () => '已暂停。回调仍会继续记录；恢复之前不会向该连接器投递。',
    resumed: () => '已恢复。',
    replaying: (n) => `将重新投递 ${figure(n)} 个事件。`,
    'nothing-to-replay': () => '没有可重放的事件：该起点之后没有记录。',
    restoring: (n) => `将向目标端重新同步 ${figure(n)} 个群组。`,
    brought: (n) => `将向 ${figure(n)} 个副本重新同步该群组。`,
    retried: (n) => `将重试 ${figure(n)} 条死信，结果会显示在本页。`,
    discarded: (n) => (n === 0 ? '没有丢弃任何内容：不存在这样的死信。' : `已丢弃 ${figure(n)} 条死信。`),
    mapped: (n) => (n === 0 ? '没有可转换的回调：本服务还不认识这种格式。' : `已转换 ${figure(n)} 个。`),
    'quarantine-discarded': (n) => `已丢弃 ${figure(n)} 个回调。`,
    'sample-sent': () => '示例已记录，它及其投递去向显示在下方。',
    'reconcile-started': () => '对账已开始。',
    'reconcile-stopped': () => '对账已停止。已读取的内容会保留。',
    'reconcile-running': () => '未启动：对账已在运行中。',
    'reconcile-unconfigured': () => '对账未配置。',
    'connector-unknown': () => '操作未执行：该名称的连接器已不在运行。',
    invalid: () => '操作未执行：表单填写不正确。重放时，请填写所选的 seq 或时间。',
    failed: () => '操作失败。原因请查看运行日志；事件日志所在的磁盘是否还有空间？',
  },

  overview: {
    open: '未设置 app.callbackTokens 和 receiver.allowFrom：任何能访问接收端的人都可以发送回调，并占满事件日志',
    receiver: (url) => html`接收地址 ${url}`,
    callbacks: '回调',
    perSecond: '个/秒',
    answered: '应答耗时',
    mostBehind: '最大积压',
    events: () => '个事件',
    unreachable: (count, all) => html`<b class="bad">${count}/${all}</b> <span class="quiet">无法连接</span>`,
    reachable: (all) => html`<b>${all}</b> <span class="quiet">个，均可连接</span>`,
    refusals: '未被接受的回调',
    refusal: (what, sender, last) =>
      html`<b>${what}</b>${sender !== undefined && html`，来自 ${sender}`}，最近一次 ${last}`,
    hour: '最近一小时',
    figures: '以数字显示',
    journal: '事件日志',
    recorded: (count, bytes) => html`已记录 <b>${figure(count)}</b> 个事件，占用磁盘 ${size(bytes)}`,
    fill: '事件日志使用率',
    used: (share, most) => `已使用 ${size(most)} 中的 ${share}`,
    prunedEarly: '正在提前清理已投递的事件',
    kept: (seconds) => `已投递的事件保留 ${span(seconds)}。`,
    quarantine: '无法转换为事件的 Chat 回调，按原样保留。',
    reconcileOff: '未配置：不会检查 Webhook 遗漏的变更。',
    details: '详情',
    stopped: (ago) => html`${ago}停止`,
    ended: (ago) => html`${ago}结束`,
    dryRun: '（试运行）',
    result: (dryRun, mended, inStep) =>
      `${figure(mended)} 个群组${dryRun ? '有差异' : '已修复'}，${figure(inStep)} 个已同步`,
    recent: '最近的事件',
    sample: '发送示例',
    sampleIs: '向接收端发送一个虚构的回调，它会作为群组 @TGS#SAMPLE0 的事件投递到每个连接器。',
    nothing: '尚未记录任何内容。收到第一个回调后会自动显示在这里。',
  },

  plots: {
    outcomes: {
      recorded: '已记录',
      duplicate: '重复',
      acknowledged: '确认',
      forwarded: '转发',
      quarantined: '隔离',
      refused: '拒绝',
      failed: '失败',
      'passed-on': '确认或转发',
    },
    rate: '每秒回调数',
    rateSummary: (total, parts, highest) =>
      `最近一小时共 ${figure(total)} 个回调：${parts.join('、')}。最高每秒 ${rate(highest)} 个。`,
    part: (count, what) => `${what} ${figure(count)}`,
    none: '没有回调',
    column: (perSecond, parts) => `每秒 ${rate(perSecond)} 个：${parts.join('、')}`,
    latency: '应答耗时',
    nothing: '最近一小时没有应答过回调。',
    latencySummary: (typical, worst) =>
      `中位数 ${latency(typical)}，最差 ${latency(worst)}（每半分钟的第 99 百分位）；Chat 后台 2 秒后超时。`,
    worst: '最差 p99',
    limit: '2 秒：Chat 后台超时',
    now: '现在',
    table: '最近一小时的回调，每行五分钟，最新在前',
    from: '起始时间 (UTC)',
    hover: (from, to, what) => `${from}–${to} UTC：${what}`,
  },

  connectors: {
    title: '连接器',
    kind: { groups: (kind) => `${kind}（群组）`, events: (kind) => `${kind}（事件）` },
    behind: '积压',
    delivered: '投递',
    toReview: (count) => html`<b>${figure(count)}</b> 条待处理`,
    pause: '暂停',
    resume: '恢复',
    replay: '重放…',
    unreachable: (since, next) => html`无法连接（${since}）；下次尝试：${next}。`,
    safe: '事件在事件日志中等待，不会丢失。',
    lastError: (ago, scope) => html`最近一次错误：${ago}（${scope}）`,
    scopes: {
      destination: '已恢复',
      retry: '一个事件，正在重试',
      'dead-letter': '一条死信',
    },
    incomplete: (since, reason) => html`不完整（${since}）：${reason}`,
    lacking: (count, before) => `${before} UTC 之前接收的 ${figure(count)} 个事件，在恢复时已被清理。`,
    notCompared: '不比对（verify 已关闭）',
    verified: (ago) => html`${ago}校验`,
    differing: (count) => html`：<b class="bad">${figure(count)} 处差异</b>未修复`,
    resyncing: '正在重新同步群组',
    resynced: '群组已重新同步',
    progress: (done, total, written) => `${figure(done)}/${figure(total)}，写入 ${figure(written)}`,
    failed: (count) => html`，<b class="bad">${figure(count)} 个失败</b>`,
    troubles: {
      unreachable: '无法连接',
      incomplete: '不完整',
      'dead-letters': '死信',
      behind: '积压',
      connecting: '正在连接',
      paused: '已暂停',
      differs: '有差异',
      unverified: '未校验',
    },
    replayFrom: (name) => `向 ${name} 重新投递的范围`,
    fromBeginning: '全部：事件日志中的所有事件',
    fromSeq: '指定的 seq 及之后',
    fromTime: '指定的接收时间 (UTC) 及之后',
    fromGroups: '群组：所有已记录群组合并后的状态',
    replaySafe: '重放是安全的：事件 ID 不变，副本最终一致；代价是重复投递。',
    replayNow: '重放',
  },

  ...pages,
};
