// A FIFO that takes a beat and gives a beat in every cycle, whatever its depth.
//
// Depths of 1 and 2 are a spill register, which holds two beats. Deeper ones are a memory whose read register is the
// output: a beat is visible two cycles after it was taken. Of the memory Depth - 1 words are in use at a time; it has as
// many as the look-up tables of so many hold anyway. in_ready_o does not depend on out_ready_i within a cycle.
//
// Width: bits of a beat, at least 1.
// Depth: beats it holds, at least 1; any number. One of 1 holds two.
`default_nettype none

module streaming_fifo #(
  parameter int unsigned Width = 8,
  parameter int unsigned Depth = 16
) (
  input  wire              clk_i,
  input  wire              rst_ni,

  input  wire              in_valid_i,
  output wire              in_ready_o,
  input  wire  [Width-1:0] in_data_i,

  output wire              out_valid_o,
  input  wire              out_ready_i,
  output wire  [Width-1:0] out_data_o
);

  if (Width < 1 || Depth < 1) begin : gen_check
    $error("%m: Width and Depth must be at least 1");
  end

  if (Depth <= 2) begin : gen_registers
    spill_register #(
      .Width(Width)
    ) u_spill_register (
      .clk_i(clk_i),
      .rst_ni(rst_ni),
      .in_valid_i(in_valid_i),
      .in_ready_o(in_ready_o),
      .in_data_i(in_data_i),
      .out_valid_o(out_valid_o),
      .out_ready_i(out_ready_i),
      .out_data_o(out_data_o)
    );
  end else begin : gen_memory
    localparam int unsigned Words = Depth - 1;
    localparam int unsigned CountWidth = $clog2(Words + 1);
    // up to a page, the words of a look-up table, there is a word for each address; more are whole pages
    localparam int unsigned Page = 64;
    localparam int unsigned MemoryWords = (Words <= Page) ? 1 << $clog2(Words) : (Words + Page - 1) / Page * Page;
    localparam int unsigned AddressWidth = $clog2(MemoryWords);

    wire [AddressWidth-1:0] write_address, read_address;
    logic [CountWidth-1:0] stored_q;
    logic some_q, room_q;  // stored_q is more than 0, and less than Words: found with the count, not from it
    logic out_valid_q;

    wire write = in_valid_i && room_q;
    wire held = out_valid_q && !out_ready_i;
    wire read = some_q && !held;
    // the many enables of a wide word would make `read` late: it is also read while nothing is stored, for a LUT or two
    wire read_word = (Width > 64) ? !held : read;

    assign in_ready_o = room_q;
    assign out_valid_o = out_valid_q;

    always_ff @(posedge clk_i) begin
      if (!rst_ni) begin
        stored_q <= '0;
        some_q <= 1'b0;
        room_q <= 1'b1;
        out_valid_q <= 1'b0;
      end else begin
        if (write != read) begin
          stored_q <= stored_q + {{CountWidth - 1{read}}, 1'b1};
          some_q <= write || stored_q != CountWidth'(1);
          room_q <= read || stored_q != CountWidth'(Words - 1);
        end
        out_valid_q <= read || held;
      end
    end

    cyclic_counter #(
      .Modulus(MemoryWords)
    ) u_write_address (
      .clk_i(clk_i),
      .rst_ni(rst_ni),
      .en_i(write),
      .count_o(write_address)
    );
    cyclic_counter #(
      .Modulus(MemoryWords)
    ) u_read_address (
      .clk_i(clk_i),
      .rst_ni(rst_ni),
      .en_i(read),
      .count_o(read_address)
    );

    simple_dual_port_ram #(
      .Width(Width),
      .Depth(MemoryWords)
    ) u_memory (
      .clk_i(clk_i),
      .write_i(write),
      .write_address_i(write_address),
      .data_i(in_data_i),
      .read_i(read_word),
      .read_address_i(read_address),
      .data_o(out_data_o)
    );
  end

`ifdef A2Q_STATS
  int unsigned count_q, peak_q;
  wire [31:0] count_d = count_q + 32'(in_valid_i && in_ready_o) - 32'(out_valid_o && out_ready_i);
  always_ff @(posedge clk_i) begin
    count_q <= rst_ni ? count_d : 0;
    peak_q <= !rst_ni ? 0 : (count_d > peak_q) ? count_d : peak_q;
  end
  // what the writer did in so many cycles at a time, if +trace=<cycles> asks for it: beats sent, and cycles held back
  int unsigned span, cycle_q, sent_q, held_q;
  wire [31:0] sent_d = sent_q + 32'(in_valid_i && in_ready_o);
  wire [31:0] held_d = held_q + 32'(in_valid_i && !in_ready_o);
  wire span_ends = cycle_q == span - 1;
  initial if (!$value$plusargs("trace=%d", span)) span = 0;
  always_ff @(posedge clk_i) begin
    if (!rst_ni || span_ends) begin
      cycle_q <= 0;
      sent_q <= 0;
      held_q <= 0;
    end else if (span != 0) begin
      cycle_q <= cycle_q + 1;
      sent_q <= sent_d;
      held_q <= held_d;
    end
    if (rst_ni && span_ends) $display("stat %m span %0d %0d", sent_d, held_d);
  end
  final begin
    $display("stat %m peak %0d", peak_q);
    $display("stat %m state %0d %0d %0d %0d %0d", count_q, in_valid_i, in_ready_o, out_valid_o, out_ready_i);
  end
`endif

endmodule

`default_nettype wire
