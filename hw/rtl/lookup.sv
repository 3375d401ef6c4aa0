// Replaces each element of a stream by the word of a table that stands at its bits.
//
// The element is registered before it is an address: the memory of a FIFO gives it late. Its word leaves three cycles after
// it came. Full throughput; all stands still while the output register is full.
//
// Up to 512 words of a lane are look-up tables, more are block RAM. As in rom.sv a reset sets all bits of a word that comes
// from look-up tables: words that are 0 at many addresses would else become a reset of the register, by slow decoders.
//
// Pe:           elements of a beat.
// Folds:        tables of a lane, which take turns; 1 if all channels share one.
// InputWidth:   bits of an input element.
// OutputWidth:  bits of an output element.
// TableFiles:   what the names of the tables' files begin with. _<lane>.mem ends that of a lane: fold by fold 2^InputWidth
//               words, by the bits of the element as an unsigned number.
`default_nettype none

module lookup #(
  parameter int unsigned Pe = 1,
  parameter int unsigned Folds = 1,
  parameter int unsigned InputWidth = 4,
  parameter int unsigned OutputWidth = 4,
  parameter TableFiles = ""
) (
  input  wire                       clk_i,
  input  wire                       rst_ni,

  input  wire                       in_valid_i,
  output wire                       in_ready_o,
  input  wire  [Pe*InputWidth-1:0]  in_data_i,

  output wire                       out_valid_o,
  input  wire                       out_ready_i,
  output wire  [Pe*OutputWidth-1:0] out_data_o
);

  if (Pe < 1 || Folds < 1 || InputWidth < 1 || OutputWidth < 1) begin : gen_check
    $error("%m: Pe, Folds and the widths must be at least 1");
  end

  localparam int unsigned BlockDepth = 512;  // words above which a table is block RAM
  localparam int unsigned Depth = Folds << InputWidth;
  localparam int unsigned AddressWidth = $clog2(Depth);
  localparam int unsigned FoldWidth = (Folds > 1) ? $clog2(Folds) : 1;

  wire en;
  assign in_ready_o = en;

  logic elements_valid_q, words_valid_q;
  logic [Pe*InputWidth-1:0] elements_q;
  wire [Pe*OutputWidth-1:0] results;
  logic [FoldWidth-1:0] fold_q;  // of the elements in the register

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      elements_valid_q <= 1'b0;
      words_valid_q <= 1'b0;
      fold_q <= '0;
    end else if (en) begin
      elements_valid_q <= in_valid_i;
      words_valid_q <= elements_valid_q;
      if (elements_valid_q) fold_q <= (fold_q == FoldWidth'(Folds - 1)) ? '0 : fold_q + 1'b1;
    end
    if (en) elements_q <= in_data_i;
  end

  for (genvar l = 0; l < Pe; l++) begin : gen_lane
    wire [FoldWidth+InputWidth-1:0] place = {fold_q, elements_q[l*InputWidth+:InputWidth]};
    wire [AddressWidth-1:0] address = place[AddressWidth-1:0];
    wire unused_place = &{1'b0, place};  // a single fold has no bits
    logic [OutputWidth-1:0] word_q;
    if (Depth > BlockDepth) begin : gen_block
      (* rom_style = "block" *) logic [OutputWidth-1:0] words[Depth];
      initial $readmemh($sformatf("%s_%0d.mem", TableFiles, l), words);
      always_ff @(posedge clk_i) if (en) word_q <= words[address];
    end else begin : gen_distributed
`ifdef YOSYS
      (* rom_style = "logic" *)  // its word for look-up tables with constants
`else
      (* rom_style = "distributed" *)
`endif
      logic [OutputWidth-1:0] words[Depth];
      initial $readmemh($sformatf("%s_%0d.mem", TableFiles, l), words);
      always_ff @(posedge clk_i) begin
        if (!rst_ni) word_q <= '1;
        else if (en) word_q <= words[address];
      end
    end
    assign results[l*OutputWidth+:OutputWidth] = word_q;
  end

  spill_register #(
    .Width(Pe * OutputWidth)
  ) u_spill_register (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .in_valid_i(words_valid_q),
    .in_ready_o(en),
    .in_data_i(results),
    .out_valid_o(out_valid_o),
    .out_ready_i(out_ready_i),
    .out_data_o(out_data_o)
  );

endmodule

`default_nettype wire
