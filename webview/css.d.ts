/** esbuild writes what is imported here beside the script. */
declare module "*.css";
