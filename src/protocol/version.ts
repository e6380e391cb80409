/** Replaced by the bundler with the version in package.json; undefined when run from sources. */
declare const ACT_VERSION: string | undefined;

export const version: string = typeof ACT_VERSION === "string" ? ACT_VERSION : "development";
