import type { Classification } from "../task.js";

/** dbpedia_14, test. */
export const dbpedia: Classification = {
  name: "DBPedia",
  version: 1,
  kind: "classification",
  instruction:
    "Classify the given text into one of the most relevant categories: 'company', 'school', 'artist', 'sport', 'politics', 'transportation', 'building', 'nature', 'village', 'animal', 'plant', 'album', 'film', or 'book'.\n\n",
  template: "Input: {text} \nType: ",
  labelWords: [
    " company",
    " school",
    " artist",
    " sport",
    " politics",
    " transportation",
    " building",
    " nature",
    " village",
    " animal",
    " plant",
    " album",
    " film",
    " book",
  ],
};
