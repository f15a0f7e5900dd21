import { figure, span as spanIn } from '../../../../model/text.ts';

export const units = ['日', '時間', '分', '秒'];
export const span = (seconds: number): string => spanIn(seconds, units);
export const times = (count: number): string => `${figure(count)} 件`;
