/** Numbers as the demo prints them. */
const digits = new Intl.NumberFormat('en-US');

export const grouped = (value) => digits.format(Math.round(value));

export const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
