'use strict';
/* amqplib as its users write it; `node suite.js [SCENARIO...]` with AMQP_URL in the environment. */
const { main } = require('./harness');

require('./promises');
require('./callbacks');

main();
