/** Node-RED's settings: no editor, and kafkajs for the flow's function node. */
const { join } = require('node:path');

const { PEER_PORT, PEER_FOLDER, PEER_INSTALLED } = process.env;

module.exports = {
  uiHost: '127.0.0.1',
  uiPort: Number(PEER_PORT),
  userDir: PEER_FOLDER,
  flowFile: join(__dirname, 'flows.json'),
  httpAdminRoot: false,
  credentialSecret: false,
  functionGlobalContext: { kafkajs: require(require.resolve('kafkajs', { paths: [PEER_INSTALLED] })) },
  logging: { console: { level: 'warn', metrics: false, audit: false } },
};
