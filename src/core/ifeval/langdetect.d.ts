declare module "langdetect/profiles/*.json" {
  const profile: { freq: Record<string, number>; n_words: number[] };
  export default profile;
}
