"""Which function acts on which method of a channel. What is missing here is answered with 503."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from amqpd.protocol import consuming, modes, topology
from amqpd.wire import methods
from amqpd.wire.primitives import Reader

if TYPE_CHECKING:
    from amqpd.protocol.channel import Channel

HANDLERS: Final[dict[int, Callable[[Channel, Reader], None]]] = {
    methods.CHANNEL_OPEN: modes.channel_open,
    methods.CHANNEL_FLOW: modes.channel_flow,
    methods.CHANNEL_CLOSE: modes.channel_close,
    methods.ACCESS_REQUEST: modes.access_request,
    methods.CONFIRM_SELECT: modes.confirm_select,
    methods.TX_SELECT: modes.tx_select,
    methods.TX_COMMIT: modes.tx_commit,
    methods.TX_ROLLBACK: modes.tx_rollback,
    methods.EXCHANGE_DECLARE: topology.exchange_declare,
    methods.EXCHANGE_DELETE: topology.exchange_delete,
    methods.EXCHANGE_BIND: topology.exchange_bind,
    methods.EXCHANGE_UNBIND: topology.exchange_unbind,
    methods.QUEUE_DECLARE: topology.queue_declare,
    methods.QUEUE_BIND: topology.queue_bind,
    methods.QUEUE_UNBIND: topology.queue_unbind,
    methods.QUEUE_PURGE: topology.queue_purge,
    methods.QUEUE_DELETE: topology.queue_delete,
    methods.BASIC_QOS: consuming.basic_qos,
    methods.BASIC_CONSUME: consuming.basic_consume,
    methods.BASIC_CANCEL: consuming.basic_cancel,
    methods.BASIC_GET: consuming.basic_get,
    methods.BASIC_ACK: consuming.basic_ack,
    methods.BASIC_NACK: consuming.basic_nack,
    methods.BASIC_REJECT: consuming.basic_reject,
    methods.BASIC_RECOVER: consuming.basic_recover,
    methods.BASIC_RECOVER_ASYNC: consuming.basic_recover_async,
}
