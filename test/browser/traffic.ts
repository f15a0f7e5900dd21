/** Made-up traffic as it could be: groups named in several scripts, quiet and busy minutes, what is sent twice, what is refused. */
import { COMMAND, SDK_APP_ID } from '../support/callbacks.ts';

const NAMES = [
  '周末爬山小分队',
  'Support · EMEA',
  '产品设计评审',
  'Équipe Marketing',
  '東京オフィス',
  'דיון צוות פיתוח',
  'Гильдия «Север»',
  'فريق الدعم',
  '수영 동호회 🏊',
  'Release train 2026.11',
  '家长群（三年级二班）',
  'कॉलेज मित्र',
  'Night raid — EU West',
  '拼团优惠通知群',
  'Bếp nhà mình',
  'Vecindario Lavapiés',
];
const NOTICES = [
  '今晚八点准时开始，请提前五分钟进群。',
  'Maintenance on Thursday, 22:00–23:30 UTC. Voice rooms will be short of seats.',
  'Réunion déplacée à vendredi, 10 h.',
  'Please read the pinned rules before posting.\nNo links to other groups.\nBe kind.',
  '',
  'تم نقل الاجتماع إلى يوم الأحد',
];
const INTRODUCTIONS = [
  '每周六早上七点，体育馆门口集合',
  'Questions of customers in Europe, the Middle East and Africa',
  '新品首发、限时拼团',
  'Fans del barrio',
];
const OPERATORS = ['administrator', 'leckie', 'mei.lin', 'user_88213', 'אבי', 'jean-luc', '@TLS#NOT_FOUND', 'haruka'];
const TYPES = ['Public', 'Community', 'Private', 'ChatRoom', 'AVChatRoom'];

/** The same numbers at each run. */
export function createDice(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) % 4_294_967_296;
    return state / 4_294_967_296;
  };
}

export interface Made {
  readonly search: Record<string, string>;
  readonly body: Record<string, unknown>;
}

export function makeTraffic(dice: () => number) {
  const pick = <Value>(from: readonly Value[]): Value => from[Math.floor(dice() ** 1.4 * from.length)] as Value;
  const groups = Array.from({ length: 48 }, (_, index) => ({
    id: index % 5 === 0 ? `@TGS#_${tag(dice)}` : `@TGS#${tag(dice)}`,
    name: NAMES[index % NAMES.length] as string,
    type: TYPES[index % TYPES.length] as string,
  }));
  return {
    groups,
    /** One change of one group, at the time given. */
    change(at: number): Made {
      const group = pick(groups);
      const what = dice();
      const changed =
        what < 0.3
          ? { Name: `${group.name}${dice() < 0.5 ? '' : ` ${Math.ceil(dice() * 9)}`}` }
          : what < 0.65
            ? { Notification: pick(NOTICES) }
            : what < 0.85
              ? { Introduction: pick(INTRODUCTIONS) }
              : { FaceUrl: `https://faces.example/${tag(dice).toLowerCase()}.png` };
      return {
        search: {
          SdkAppid: SDK_APP_ID,
          CallbackCommand: COMMAND,
          contenttype: 'json',
          ClientIP: '203.0.113.7',
          OptPlatform: pick(['RESTAPI', 'iOS', 'Android', 'Web']),
        },
        body: {
          CallbackCommand: COMMAND,
          EventTime: at,
          GroupId: group.id,
          Operator_Account: pick(OPERATORS),
          Type: group.type,
          ...changed,
        },
      };
    },
  };
}

function tag(dice: () => number): string {
  return Array.from({ length: 9 }, () => '23456789ABCDEFGHJKLMNPQRSTUVWXYZ'[Math.floor(dice() * 32)]).join('');
}
