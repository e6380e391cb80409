import assert from "node:assert/strict";
import { test } from "node:test";
import { chunksOf } from "./completion/ring.js";
import { integer, random } from "./numbers/random.js";
import { isSourcePath, isSourceText } from "./search/workspace-items.js";
import { hasSecret, isSecretPath, secretsIn } from "./secrets.js";

const SECRET_PATHS =
  `/a/.env /a/.env.local /w/.envrc /w/.envrc.private prod.env deploy/staging.env .env-prod C:\\k\\server.pem /h/.ssh/config
  /a/id_ed25519 /a/id_ed25519.pub id_rsa.bak x/credentials.json t.tfvars prod.auto.tfvars.json terraform.tfstate.backup .npmrc .yarnrc.yml _netrc .netrc .pypirc
  .pgpass .my.cnf .htpasswd .git-credentials .dockercfg .docker/config.json .aws/credentials .kube/config kubeconfig .s3cfg app.keystore release.jks
  db.kdbx key.asc AuthKey_1.p8 client.ovpn .vault-token .bash_history secrets.yaml prod-secrets.yml k8s/db_passwords.json
  client_secret_12.json service-account.json master.key deploy/secrets.py .dev.vars sftp-config.json local.settings.json`.split(/\s+/);
const OPEN_PATHS =
  `/a/.env.example .env.sample secrets.yml.dist /a/environment.ts /a/env.ts /a/keyboard.ts /a/secretary.ts src/password-field.tsx
  docs/passwords.md tokens.ts keys.ts translations.keys tsconfig.json /w/package.json Dockerfile .github/workflows/ci.yml .gitignore`.split(
    /\s+/,
  );

test("files that never enter a prompt by their names, for suggestions and the search alike", () => {
  for (const path of SECRET_PATHS) assert.ok(isSecretPath(path), path);
  for (const path of OPEN_PATHS) assert.ok(!isSecretPath(path), path);
  for (const path of SECRET_PATHS) assert.ok(!isSourcePath(path), path);
});

/**
 * How vendors write their tokens: `{hex 32}` and the like stand for random characters, and each string is cut by `|`, so that no scanner takes this
 * file for one with secrets.
 */
const FORMATS = `AK|IA{A 16}
AS|IA{A 16}
gh|p_{a 36}
gh|o_{a 36}
gh|s_{a 36}
github|_pat_{a 22}_{a 59}
gl|pat-{a 20}
gl|rt-{a 20}
xo|xb-{0 12}-{0 12}-{a 24}
xo|xp-{0 12}-{0 12}-{0 12}-{hex 32}
xa|pp-1-A{A 10}-{0 13}-{hex 64}
https://hooks.sl|ack.com/services/T{A 8}/B{A 8}/{a 24}
sk|_live_{a 24}
rk|_test_{a 24}
wh|sec_{a 32}
sk|-{a 48}
sk|-proj-{a 48}
sk|-ant-api03-{a 93}
AI|za{a 35}
ya|29.{a 68}
GOC|SPX-{a 28}
np|m_{a 36}
//packages.example.org/:_auth|Token={a 36}
py|pi-AgEIcHlwaS5vcmc{a 100}
ruby|gems_{hex 48}
S|G.{a 22}.{a 43}
key|-{hex 32}
{hex 32}|-us12
S|K{hex 32}
{0 9}:A|A{a 33}
M{a 23}|.{a 6}.{a 27}
https://discord|.com/api/webhooks/{0 18}/{a 68}
do|p_v1_{hex 64}
h|f_{a 34}
gs|k_{a 52}
da|pi{hex 32}
shp|at_{hex 32}
sq0|csp-{a 43}
lin|_api_{a 40}
nt|n_{a 46}
fig|d_{a 40}
dp|.pt.{a 43}
gl|sa_{a 32}_{hex 8}
NR|AK-{A 27}
PM|AK-{hex 24}-{hex 34}
{a 14}|.atlasv1.{a 67}
hv|s.{a 90}
dc|kr_pat_{a 27}
AT|ATT3{a 180}
ps|cale_tkn_{a 43}
pat{a 14}|.{hex 64}
xk|eysib-{hex 64}-{a 16}
AGE|-SECRET-KEY-1{A 58}
ey|J{a 20}.eyJ{a 40}.{a 43}
postgres:|//app:{a 12}@db.internal:5432/app
mongodb+srv:|//root:{a 16}@cluster0.mongodb.net
https:|//{a 10}:{a 20}@git.internal/x.git
redis:|//:{a 12}@cache:6379/0
Account|Key={a 86}==
Authorization: Bea|rer {a 40}
"Authorization": "Ba|sic {a 28}="
pass|word = "{a 12}7"
pass|word: '{a 10}9!'
DB_PASS|WORD={a 16}4
db_pass|wd = "{a 20}"
PGPASS|WORD: {a 14}3
API_|KEY={hex 32}
api|Key: "{a 32}",
"api_|key": "{hex 40}",
x-api-|key: {hex 36}
client_|secret = '{a 30}'
CLIENT_|SECRET={a 30}
const tok|en = "{a 24}";
let secret_|key: &str = "{a 40}";
aws_secret_access_|key = {a 40}
private_|key = "{a 44}"
export SEC|RET="{a 20}"
'sec|ret' => '{a 18}',
access_|token: "{a 30}"
refreshTo|ken = \`{a 28}\`
String pass|word = "{a 11}8";
pwd|="{a 9}5#";
encryption_|key: "{hex 64}"
signing|Key := "{a 32}"
setenv("GITHUB_TOK|EN", "{a 20}9")
<add key="x" pass|word="{a 12}1" />
conn = "Server=db;User=sa;Pass|word={a 12}1"
credent|ials: "{a 20}2"
storage_|key = "{a 30}"
auth_|key = "{hex 32}"
-----BEGIN RSA PRIV|ATE KEY-----\\n{a 64}\\n{a 64}\\n-----END RSA PRIV|ATE KEY-----
-----BEGIN OPENSSH PRIV|ATE KEY-----\\n{a 64}\\n-----END OPENSSH PRIV|ATE KEY-----
-----BEGIN PRIV|ATE KEY-----\\n{a 64}\\n{a 64}
-----BEGIN PGP PRIV|ATE KEY BLOCK-----\\n{a 64}\\n-----END PGP PRIV|ATE KEY BLOCK-----
-----BEGIN EC PRIV|ATE KEY-----\\n{a 64}\\n-----END EC PRIV|ATE KEY-----
PuTTY-User-Key|-File-2: ssh-rsa\\nEncryption: none\\n{a 64}\\nPrivate-MAC: {hex 40}
sb|p_{hex 40}
nf|p_{a 40}
sntry|s_{a 60}
fo1|_{a 43}`.split("\n");

const ALPHABETS: Record<string, string> = {
  a: "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
  A: "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567",
  hex: "0123456789abcdef",
  0: "123456789",
};

function planted(format: string, seed: number): string {
  const rng = random(seed);
  const fill = (alphabet: string, n: number) => Array.from({ length: n }, () => alphabet[integer(rng, alphabet.length)]).join("");
  return format
    .replaceAll("|", "")
    .replaceAll("\\n", "\n")
    .replace(/\{(\w+) (\d+)\}/g, (_, name: string, n: string) => fill(ALPHABETS[name] as string, Number(n)));
}

const code = (name: string) => Array.from({ length: 60 }, (_, i) => `export function ${name}${i}(value) { return value + ${i}; }`);

test("100 secrets planted in ordinary files: none enters the prompt of another file", () => {
  assert.ok(FORMATS.length >= 100, `${FORMATS.length} formats`);
  for (const [seed, format] of FORMATS.entries()) {
    const secret = planted(format, seed);
    const text = [...code("before"), `  ${secret}`, ...code("behind")].join("\n");
    const found = secretsIn(text);
    assert.ok(found.length > 0, `not seen: ${secret}`);
    const pieces = chunksOf("src/config.ts", text);
    for (const line of secret.split("\n")) assert.ok(!pieces.some((piece) => piece.text.includes(line)), `in a piece: ${line}`);
    assert.ok(pieces.length >= 1, `nothing left beside: ${secret}`);
    assert.ok(!isSourceText(text), `the search may read: ${secret}`);
  }
});

test("ordinary code is none", () => {
  const lines = `const token = await next();
password: string;
if (password === other.password) return secretOf(user);
const secret = process.env.SECRET_OF_THE_SERVICE;
token: "your-token-goes-here",
<input type="password" name="password" placeholder="Type it again" />
const apiKey = \`\${prefix}-\${suffix}\`;
PASSWORD={{ vault_db_password }}
url = "https://user:\${password}@example.org/"
const tokenizer = new Tokenizer("gpt2-small-2");
sk-fading-circle-container-inner
See https://example.org:8080/a@b and mail to a@b.org
access_token=ACCESS_TOKEN
secret_key = config.secret_key2
sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"`.split("\n");
  for (const line of lines) assert.deepEqual(secretsIn(line), [], line);
  assert.ok(!hasSecret(code("plain").join("\n")));
});
