// The claims on one stream that a cell offers: an offered beat stays, and stays the same, until it is taken; and where
// the cell holds a whole beat and the receiver is ready, it is offered before MaxWait cycles have passed.
//
// Width:    bits of a beat.
// MaxWait:  cycles in a row in which a ready receiver may wait for a beat that is inside.
`default_nettype none

module handshake #(
  parameter int unsigned Width = 8,
  parameter int unsigned MaxWait = 0
) (
  input  wire              clk_i,
  input  wire              rst_ni,
  input  wire              checked_i,  // there has been a reset

  input  wire              valid_i,
  input  wire              ready_i,
  input  wire  [Width-1:0] data_i,
  input  wire              inside_i  // a whole beat is inside
);

  localparam int unsigned WaitWidth = $clog2(MaxWait + 2);
  logic held_q;  // offered in the cycle before, and not taken
  logic [Width-1:0] data_q;
  logic [WaitWidth-1:0] waited_q;

  wire waits = inside_i && ready_i && !valid_i;

  always_ff @(posedge clk_i) begin
    held_q <= rst_ni && valid_i && !ready_i;
    data_q <= data_i;
    if (!rst_ni || !waits) waited_q <= '0;
    else if (32'(waited_q) <= MaxWait) waited_q <= waited_q + 1'b1;
  end

  always_comb begin
    if (checked_i && rst_ni) begin
      offer_stays : assert (!held_q || valid_i);
      beat_stays : assert (!held_q || data_i == data_q);
      comes_in_time : assert (!waits || 32'(waited_q) < MaxWait);
    end
  end

endmodule

`default_nettype wire
