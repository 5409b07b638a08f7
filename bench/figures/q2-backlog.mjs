export const q2 = [];
