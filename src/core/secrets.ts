/**
 * What may hold a secret: file names, and texts inside ordinary files. One rule for suggestions, chat and the search.
 *
 * Names follow the lists of gitignore templates and of secret scanners; token formats are those that their vendors publish. A linter such as
 * secretlint knows more formats, but it needs Node and a promise for every text; these run in the host, on every piece of context.
 */

/** Folders whose files are all secret. */
const FOLDERS = /^\.(ssh|gnupg|aws|azure|kube|password-store|terraform\.d)$/i;

const NAMES = [
  // Environments
  /^\.env([._-].*)?$|\.env$|^\.envrc|^\.(dev|prod|test)\.vars|^local\.settings\.json$/i,
  // Keys and key stores
  /\.(pem|key|p8|p12|pfx|pkcs12|jks|keystore|bks|kdbx?|asc|gpg|ppk|pvk|age|ovpn|keychain|agilekeychain|kwallet|mobileprovision)$/i,
  /^(ssh_host_.*_key|id_(rsa|dsa|ecdsa|ed25519).*|master\.key|wallet\.dat|\.vault[-_](token|pass(word)?).*|kubeconfig)$/i,
  // Tools that keep a password or a token in their settings
  /^[._]?(netrc|npmrc|yarnrc|yarnrc\.yml|pypirc|pgpass|my\.cnf|htpasswd|htdigest|git-credentials|dockercfg|dockerconfigjson|s3cfg|boto|msmtprc|esmtprc|fetchmailrc|ftpconfig|terraformrc|curlrc|wgetrc|mailrc|bitcoin\.conf)$/i,
  /^(sftp(-config)?\.json|recentservers\.xml|auth\.json|shadow|gshadow|terraform\.rc)$/i,
  /\.tfvars(\.json)?$|\.tfstate(\.[\w-]+)*$/i,
  /^\..*_history$/i,
  // What calls itself so. A source file only where that is all of its name: a form for passwords is code.
  /^[\w.-]*?(secrets?|credentials?|passwords?|passwd)([._-][\w.-]*)?(\.(json|ya?ml|toml|ini|txt|xml|properties|conf|cfg|csv|plist|enc))$/i,
  /^\.?(secrets?|credentials?|passwords?|passwd)(\.(?!md|rst|html?|css|adoc)\w+)?$/i,
  /^(service[-_]?account|gcloud|firebase-adminsdk)[\w.-]*\.json$/i,
];

/** Files that never enter a prompt, whatever asks. `path` may have either kind of slash. */
export function isSecretPath(path: string): boolean {
  const parts = path.split(/[\\/]/);
  const name = parts.at(-1) ?? "";
  if (parts.slice(0, -1).some((part) => FOLDERS.test(part))) return true;
  if (/(^|[\\/])(\.docker[\\/]config\.json|gh[\\/]hosts\.yml)$/i.test(path)) return true;
  // An example file is meant to be read.
  if (/\.(example|sample|template|dist)$/i.test(name)) return false;
  return NAMES.some((pattern) => pattern.test(name));
}

/** Token formats, each with what makes it unmistakable. */
const TOKENS = [
  // Keys: to their end, or to the end of the text
  /-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----[\s\S]*?(?:-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|$(?![\s\S]))/,
  /PuTTY-User-Key-File-\d[\s\S]*?(?:Private-MAC:.*|$(?![\s\S]))/,
  /\bAGE-SECRET-KEY-1[0-9A-Z]{50,}/,
  // Clouds
  /\b(?:A3T[A-Z0-9]|AKIA|ASIA|ABIA|ACCA|AROA|AIDA)[A-Z0-9]{16}\b/,
  /\bAIza[\w-]{35}/,
  /\b(?:ya29\.[\w-]{20,}|GOCSPX-[\w-]{20,})/,
  /\b(?:AccountKey|SharedAccessKey)=[\w+/]{30,}={0,2}/,
  /[?&]sig=[\w%+/-]{30,}/,
  /\bdo[opr]_v1_[a-f0-9]{64}\b/,
  /\bHRKU-[\w-]{30,}/,
  /\bdapi[a-f0-9]{32}\b/,
  /\b(?:fo1_|fm[12]_|FlyV1 )[\w+/=,-]{30,}/,
  /\bpscale_(?:tkn|pw|oauth)_[\w.=-]{30,}/,
  /\b(?:nfp|sbp|vercel|rnd|pul|dop|tskey|dt0[a-z]\d\d|sntry[su])[_.-](?=[\w.-]*\d)[\w.=+/-]{20,}/,
  /\b[\w-]{10,20}\.atlasv1\.[\w=-]{50,}/,
  /\bhv[sbr]\.[\w-]{20,}/,
  // Code and packages
  /\bgh[pousr]_[A-Za-z0-9]{30,}|\bgithub_pat_\w{40,}/,
  /\bgl(?:pat|dt|rt|ptt|cbt|ft|soat|imt|agent|oas|ffct)-[\w.-]{20,}/,
  /\bnpm_[A-Za-z0-9]{36}\b|_authToken\s*=\s*[^\s${][^\s]{7,}/,
  /\bpypi-[A-Za-z0-9_-]{50,}/,
  /\brubygems_[a-f0-9]{48}\b|\bcio[A-Za-z0-9]{32}\b|\boy2[a-z0-9]{43}\b/,
  /\bdckr_(?:pat|oat)_[\w-]{20,}/,
  /\bAT(?:ATT3|CTT3|BB)[\w=-]{24,}/,
  // Messages and mail
  /\bxox[abeoprs](?:\.xox[bp])?-[\w-]{10,}|\bxapp-\d-[\w-]{10,}|\bxoxe\.[\w-]{20,}/,
  /\bhooks\.slack\.com\/(?:services|workflows|triggers)\/[\w/-]{20,}/,
  /\bdiscord(?:app)?\.com\/api\/webhooks\/\d+\/[\w-]{30,}|\b[MNO][\w-]{23,27}\.[\w-]{6}\.[\w-]{27,}/,
  /\bwebhook\.office\.com\/webhookb2\/[\w@/-]{30,}/,
  /\b\d{8,10}:AA[\w-]{32,34}/,
  /\bSG\.[\w-]{16,32}\.[\w-]{16,64}/,
  /\bkey-[0-9a-f]{32}\b|\b[0-9a-f]{32}-us\d{1,2}\b|\bxkeysib-[a-f0-9]{64}/,
  /\b(?:SK|AC)[0-9a-f]{32}\b/,
  // Money
  /\b(?:sk|rk|pk)_(?:live|test|prod)_[A-Za-z0-9]{16,}|\bwhsec_[\w+/=]{24,}/,
  /\bsq0(?:atp|csp|idp)-[\w-]{20,}|\bEAAA[\w-]{56,}|\bEAA[A-Za-z0-9]{80,}/,
  /\bshp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}\b|\baccess_token\$(?:production|sandbox)\$\w{16}\$\w{32}/,
  // Models
  /\bsk-(?=[\w-]*\d)[A-Za-z0-9_-]{20,}/,
  /\b(?:hf|gsk|r8|pplx|xai|nvapi|fw|tgp_v1|csk|voy|jina)[_-](?=[\w-]*\d)[A-Za-z0-9_-]{30,}/,
  // Other services
  /\b(?:ntn|lin_api|lin_oauth|figd|rdme|pnu|ops|glsa|glc|sgp|key|secret|pat)_(?=[a-z]*[A-Z\d])[A-Za-z0-9]{32,}/,
  /\b(?:PMAK|NRAK|NRJS|NRII|dp\.(?:pt|st|ct|sa|scim)\.)[-\w]{20,}/,
  /\bpat[A-Za-z0-9]{14}\.[a-f0-9]{64}\b/,
  /\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}/,
  // A password in an address; names in braces or angles stand for one.
  /\b[a-z][a-z0-9+.-]{1,20}:\/\/[^\s:/@"'`<>{}$]{0,64}:(?!\/)[^\s:/@"'`<>{}$]{3,}@[\w.[-]/i,
  /\bAuthorization["']?\s*[:=,]\s*["'`]?(?:Bearer|Basic|Token)\s+[\w.+/=~-]{12,}/i,
];
const TOKEN = new RegExp(TOKENS.map((pattern) => `(?:${scoped(pattern)})`).join("|"), "gm");

/** A pattern without regard to case inside one that has it: letters as classes. */
function scoped({ source, flags }: RegExp): string {
  if (!flags.includes("i")) return source;
  return source.replace(/\\.|\[[^\]]*\]|\(\?<?[:=!]|[A-Za-z]/g, (part) => {
    if (part.length === 1) return `[${part.toLowerCase()}${part.toUpperCase()}]`;
    return part.startsWith("[") ? part.replaceAll("a-z", "a-zA-Z") : part;
  });
}

/** A value given to a name that says it is secret: `password = "…"`, `API_KEY: …`, `'token' => '…'`. */
const NAMED =
  /(?:pass(?:word|wd|phrase|code)?|pwd|secret|token|credentials?|api[_-]?key|(?:access|private|auth|account|encryption|signing|master|shared|storage|service|client|secret)[_-]?(?:access[_-]?)?key)["'`\]]*(?:[ \t]*:[ \t]*[\w<>?.|&' ]{1,40}(?==))?[ \t]*(=>|:=|[=:,])[ \t]*(?:(["'`])((?:(?!\2)[^\n\\]|\\.){6,})\2|([^\s"'`,;(){}[\]<>]{8,})(?=[ \t]*$|["';]))/gim;
/** What stands for a secret, or names one, but is none. */
const PLACEHOLDER =
  /^(?:[$%<{[(#]|your|my[_-]|changeme|change[_-]?me|example|placeholder|dummy|todo|xxx|\*{3}|\.{3}|process\.env|os\.environ|env\.|none|null|undefined|true|false|https?:|\/)|example|\$\{|\{\{|<[^>]*>|%[sd(]|xxxx|\s/i;

/** Where secrets stand in a text: `[start, end)` in characters, in order. */
export function secretsIn(text: string): { start: number; end: number }[] {
  const found: { start: number; end: number }[] = [];
  for (const match of text.matchAll(TOKEN)) found.push({ start: match.index, end: match.index + match[0].length });
  for (const { index, 0: all, 1: sign, 3: quoted, 4: bare } of text.matchAll(NAMED)) {
    // Behind a comma stands an argument, which is more often a word.
    const secret = quoted === undefined ? sign !== "," && isBareSecret(bare ?? "") : isQuotedSecret(quoted, sign === "," ? 1000 : 12);
    if (secret) found.push({ start: index, end: index + all.length });
  }
  return found.sort((a, b) => a.start - b.start);
}

export function hasSecret(text: string): boolean {
  return secretsIn(text).length > 0;
}

/** A value of some length is one; a shorter one where it mixes letters with digits or signs, as words and names do not. */
function isQuotedSecret(value: string, long: number): boolean {
  return !PLACEHOLDER.test(value) && (isMixed(value) || value.length >= long);
}

/** Without quotes it may be code: `config.token2`, `std::string`, `-0x3f87`. */
function isBareSecret(value: string): boolean {
  if (PLACEHOLDER.test(value) || !isMixed(value) || /^-?0x[\da-f]+$/i.test(value)) return false;
  const name = /^[A-Za-z_$][\w$]*(?:(?:\.|::|->|\?\.)[\w$]+)*$/.test(value);
  return value.length >= 20 || !name || /^\w*\d[A-Za-z]\w*$/.test(value);
}

function isMixed(value: string): boolean {
  return /[A-Za-z]/.test(value) && /\d|[^\w.-]/.test(value);
}
