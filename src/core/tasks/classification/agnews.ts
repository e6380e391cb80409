import type { Classification } from "../task.js";

/** ag_news, test. */
export const agnews: Classification = {
  name: "AGNews",
  version: 1,
  kind: "classification",
  instruction: "Classify the news articles into the categories of 'World', 'Sports', 'Business', or 'Technology'.\n\n",
  template: "Article: {text} \nCategory: ",
  labelWords: [" World", " Sports", " Business", " Technology"],
};
