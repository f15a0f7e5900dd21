import { html } from 'hono/html';
import { figure } from '../../../../model/text.ts';
import type { everywhere as English } from '../en/everywhere.ts';
import { span, units } from './counting.ts';

export const everywhere = {
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
} satisfies typeof English;
