import { span as spanIn } from '../../../../model/text.ts';

export const units = ['天', '小时', '分钟', '秒'];
export const span = (seconds: number): string => spanIn(seconds, units);
